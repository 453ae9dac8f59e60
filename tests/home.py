"""A home for tests: its own folder and runtime folder, fronts on it as clients start them, and its command line.

When a home closes, its house has been asked to leave, and nothing below this process may be left of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from roundhouse.rendezvous import Place
from tests.house import House as Client
from tests.house import launched, living, wait_until_nobody_is_left

ROUNDHOUSE = [sys.executable, "-m", "roundhouse"]


class Home:
    """A folder with a house, or none yet."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.path = folder / "home"
        self.path.mkdir(mode=0o700)
        self.settings(allow_unattended=True)
        runtime = stack.enter_context(TemporaryDirectory(prefix="rh-"))  # a socket's path has to be short
        self.env = {
            "ROUNDHOUSE_HOME": str(self.path),
            "XDG_RUNTIME_DIR": runtime,
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }
        self._stack = stack

    def settings(self, **settings: Any) -> None:
        """Write `settings.toml`."""
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        (self.path / "settings.toml").write_text("\n".join(lines) + "\n")

    def front(
        self, *, opened: bool = True, capabilities: dict[str, Any] | None = None, python: str = sys.executable
    ) -> Client:
        """A client that has started a front, as its configuration says."""
        command = [python, "-m", "roundhouse", "serve"]
        client = self._stack.enter_context(launched(command, self.env, leaves_a_house=True))
        if opened:
            client.open(capabilities=capabilities)
        return client

    def cli(self, *words: str, input: str | None = None, within: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command, without a terminal."""
        return subprocess.run(
            [*ROUNDHOUSE, *words],
            env={**os.environ, **self.env},
            input=input,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )

    def ask(self, *words: str, input: str | None = None) -> Any:
        """Run a command that must succeed; what it says with `--json`."""
        ran = self.cli(words[0], "--json", *words[1:], input=input)
        assert ran.returncode == 0, f"{words}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}\n{self.log()}"
        return json.loads(ran.stdout)

    def add(self, name: str, entry: dict[str, Any], *options: str) -> Any:
        """Add a server, as a person does."""
        settings = [f"--env={key}={value}" for key, value in entry.get("env", {}).items()]
        return self.ask("add", name, "--yes", *settings, *options, "--", entry["command"], *entry["args"])

    def approve(self, name: str) -> Any:
        return self.ask("approve", name, "--yes")

    def pid(self) -> int | None:
        """Of the house, None where none runs."""
        with suppress(OSError, ValueError, KeyError):
            pid = int(json.loads(Path(self.place().pid_file).read_text())["pid"])
            if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return pid
        return None

    def place(self) -> Place:
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = self.env["XDG_RUNTIME_DIR"]
        try:
            return Place(str(self.path))
        finally:
            if before is None:
                del os.environ["XDG_RUNTIME_DIR"]
            else:
                os.environ["XDG_RUNTIME_DIR"] = before

    def children(self) -> list[psutil.Process]:
        """What runs below the house: the servers."""
        pid = self.pid()
        with suppress(psutil.Error):
            if pid is not None:
                return [p for p in psutil.Process(pid).children() if p.status() != psutil.STATUS_ZOMBIE]
        return []

    def log(self) -> str:
        with suppress(OSError):
            return (self.path / "logs" / "house.log").read_text(errors="replace")[-6000:]
        return ""

    def everything(self) -> bytes:
        """All that is written below the home, for who looks for what must not be there."""
        return b"\n".join(path.read_bytes() for path in sorted(self.path.rglob("*")) if path.is_file())

    def down(self) -> None:
        self.cli("down", "--wait")


@contextmanager
def home(folder: Path) -> Iterator[Home]:
    """A home; everything that ran for it is gone afterwards."""
    before = frozenset(living())
    with ExitStack() as stack:
        at = Home(folder, stack)
        try:
            yield at
        finally:
            at.down()
            print(at.log())  # pytest shows it where the test failed
    left = wait_until_nobody_is_left(but=before)
    for line in left:
        with suppress(psutil.Error):
            psutil.Process(int(line.split()[0])).kill()
    assert left == [], f"{left}\n{at.log()}"
