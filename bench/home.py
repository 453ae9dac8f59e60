"""A home of Roundhouse for one measurement: folders of its own, nothing of the user's, and its house, if one runs.

When a home is left, its house has been asked to leave and its processes are gone and buried.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from .contenders import HOUSE, ROUNDHOUSE, ContenderError
from .processes import family, parent, pidfd, wait_for_all

COMMAND_TIMEOUT = 120.0  # seconds; to import fifty servers, each is started once
LEAVE_TIMEOUT = 10.0  # seconds from the house's end to its reaper's, which waits for nothing by then


@contextmanager
def temporary_home() -> "Iterator[Home]":
    with TemporaryDirectory(prefix="roundhouse-bench-") as folder:
        home = Home(Path(folder))
        try:
            yield home
        finally:
            home.down()


class Home:
    """`folder` holds everything a contender writes; `env` is what every process of the home is started with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = environment(folder)

    def learn(self, config: Path, **settings: Any) -> None:
        """Take over the servers of a file, each started once to see what it has. No house runs afterwards."""
        house = Path(self.env["ROUNDHOUSE_HOME"])
        house.mkdir(mode=0o700)
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in {"allow_unattended": True, **settings}.items()]
        (house / "settings.toml").write_text("".join(lines))
        self.command("import", str(config), "--yes")
        self.down()

    def command(self, *words: str) -> float:
        """Run a command of Roundhouse's; the seconds from its start to its end."""
        began = perf_counter()
        ran = subprocess.run(
            [*ROUNDHOUSE, *words], env=self.env, cwd=self.folder, capture_output=True, timeout=COMMAND_TIMEOUT
        )
        took = perf_counter() - began
        if ran.returncode:
            said = (ran.stderr + ran.stdout).decode(errors="replace")
            raise ContenderError(HOUSE.name, f"`roundhouse {' '.join(words)}` exits with {ran.returncode}", said)
        return took

    def pids(self) -> list[int]:
        """The reaper, the house and its servers; nobody where no house runs."""
        for file in self.folder.glob("roundhouse-*/pid"):
            with suppress(OSError):
                return family(parent(json.loads(file.read_bytes())["pid"]))
        return []

    def down(self) -> None:
        """Let the house leave, if one runs, and bury it: whoever was orphaned below us is our child."""
        if not (pids := self.pids()):
            return
        reaper = pids[0]
        ends = pidfd(reaper)
        self.command("down", "--wait")
        if ends is not None:
            wait_for_all([ends], LEAVE_TIMEOUT)
            os.close(ends)
        with suppress(ChildProcessError):
            os.waitpid(reaper, os.WNOHANG)


def environment(folder: Path) -> dict[str, str]:
    """Ours, but with every place where something is kept in this folder.

    And byte code is cached, as it is for everyone who installed the package: compiling it at each start is not what we
    measure.
    """
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    private = {"HOME": folder, "XDG_CONFIG_HOME": folder, "XDG_RUNTIME_DIR": folder, "ROUNDHOUSE_HOME": folder / "home"}
    return {**ours, **{name: str(path) for name, path in private.items()}}
