"""The command line as a person has it: in a pipe, and on a terminal of its own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from roundhouse import rendezvous

PATIENCE = 20.0  # seconds; how long a test waits for what should come at once, on a busy machine
COMMAND = [sys.executable, "-c", "import sys; from roundhouse.doors.cli.main import run; sys.exit(run(sys.argv[1:]))"]


class Ended:
    """What a command in a pipe came to."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.code = done.returncode
        self.out = done.stdout.decode()
        self.err = done.stderr.decode()

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


class Desk:
    """Where commands are run: an environment, a home, and nothing in either."""

    def __init__(self, folder: Path, runtime: str, terminals: ExitStack) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.user = folder / "user"
        for made in (self.home, self.user):
            made.mkdir(mode=0o700)
        self.place = rendezvous.Place(str(self.home))
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.user),
            "ROUNDHOUSE_HOME": str(self.home),
            "XDG_RUNTIME_DIR": runtime,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "TERM": "xterm",
        }
        self._terminals = terminals

    def run(self, *args: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Ended:
        """A command without a terminal."""
        command = [*COMMAND, *args]
        env = {**self.env, **(env or {})}
        return Ended(
            subprocess.run(
                command,
                input=stdin,
                env=env,
                cwd=self.folder,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
                start_new_session=True,  # whoever runs the tests may sit at a terminal
            )
        )

    def terminal(
        self, *args: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None, columns: int = 200
    ) -> Terminal:
        """A command on a terminal, but for what is given."""
        return self._terminals.enter_context(Terminal([*COMMAND, *args], self.env, self.folder, stdin, stdout, columns))

    def allow_unattended(self) -> None:
        (self.home / "settings.toml").write_text("allow_unattended = true\n")


class Terminal:
    """A command on a terminal, and the person before it."""

    def __init__(
        self,
        command: list[str],
        env: dict[str, str],
        folder: Path,
        stdin: IO[bytes] | None,
        stdout: IO[bytes] | None,
        columns: int,
    ) -> None:
        self._screen, slave = pty.openpty()
        termios.tcsetwinsize(self._screen, (50, columns))
        self.seen = ""
        self._process = subprocess.Popen(
            command,
            env=env,
            cwd=folder,
            stdin=stdin or slave,
            stdout=stdout or slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *failure: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._screen)

    def shows(self, text: str, times: int = 1) -> str:
        """Wait until the text was on the screen so often. Returns all that was ever on it."""
        until = time.monotonic() + PATIENCE
        while self.seen.count(text) < times:
            if not self._read(until - time.monotonic()):
                raise AssertionError(f"{text!r} never came; the screen: {self.seen}")
        return self.seen

    def types(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def ends(self) -> int:
        """Wait for its end. Returns the exit code."""
        until = time.monotonic() + PATIENCE
        while self._read(until - time.monotonic()):
            pass
        return self._process.wait(max(0.1, until - time.monotonic()))

    def _read(self, within: float) -> bool:
        ready, _, _ = select.select([self._screen], [], [], max(0.0, within))
        try:
            data = os.read(self._screen, 65536) if ready else b""
        except OSError:  # nobody has it open any more
            data = b""
        self.seen += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)
