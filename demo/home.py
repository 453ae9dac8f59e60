"""The home of the demo: a folder of its own, never the user's, and the command line as a person or a program uses it.

The person is played: what she would type is written to a pseudo-terminal, once the question stands there.
"""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import orphans
from .page import StepFailed
from .workbench import ROOT

COMMAND_LIMIT = 120.0  # seconds for one command; adding a server waits up to 45 for it, on a machine that is busy
QUESTION = b"[y/N] "
PLAIN = {"TERM": "dumb", "COLUMNS": "120"}  # a terminal without colours and spinners, which a page cannot show
ROUNDHOUSE = (sys.executable, "-m", "roundhouse")


@dataclass(frozen=True)
class Ran:
    """A command that has ended: its exit code, and what it printed, in the order a terminal would show it."""

    code: int
    said: str


class Home:
    """The folder in which a house keeps everything, and the one where it is found while it runs.

    Attributes:
        environment: what everything of Roundhouse is started with.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.path, runtime = folder / "home", folder / "run"
        for made in (self.path, runtime):
            made.mkdir(mode=0o700)
        self.environment = {**environment, "ROUNDHOUSE_HOME": str(self.path), "XDG_RUNTIME_DIR": str(runtime)}

    def run(self, *words: str) -> Ran:
        """Run a command as a program does: without a terminal, so with nobody to ask. Raises: `TimeoutError`."""
        try:
            done = subprocess.run(
                [*ROUNDHOUSE, *words],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=COMMAND_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"`roundhouse {words[0]}` has not ended within {COMMAND_LIMIT:.0f} s.") from None
        return Ran(done.returncode, done.stdout)

    def type(self, *words: str, answer: str) -> Ran:
        """Run a command as a person does: on a terminal, where its question is answered.

        Raises: `TimeoutError`.
        """
        ours, theirs = pty.openpty()
        try:
            person = subprocess.Popen(
                [*ROUNDHOUSE, *words],
                cwd=ROOT,
                env={**self.environment, **PLAIN},
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            )
            os.close(theirs)
            try:
                said = _converse(ours, answer, time.monotonic() + COMMAND_LIMIT)
                return Ran(person.wait(COMMAND_LIMIT), said)
            finally:
                person.kill()
                person.wait()
        finally:
            os.close(ours)

    def status(self) -> dict[str, Any]:
        """The house, as `roundhouse status` has it. Raises: `StepFailed` when none runs."""
        ran = self.run("status", "--json")
        if ran.code:
            raise StepFailed(f"`roundhouse status` ended with code {ran.code}: {ran.said}")
        status: dict[str, Any] = json.loads(ran.said)
        return status


@contextmanager
def open_home(folder: Path, environment: Mapping[str, str]) -> Iterator[Home]:
    """A home; when this ends, however it ends, its house is asked to leave."""
    home = Home(folder, environment)
    try:
        yield home
    finally:
        if orphans.running():
            with suppress(OSError):
                home.run("down", "--wait")


def _converse(terminal: int, answer: str, deadline: float) -> str:
    """Read what a command prints until it ends, and answer its question. Raises: `TimeoutError`."""
    said = b""
    answered = False
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([terminal], [], [], left)[0]:
            continue
        try:
            more = os.read(terminal, 65536)
        except OSError:  # Linux says so when the last who had the terminal open has gone
            more = b""
        if not more:
            return said.decode(errors="replace").replace("\r\n", "\n")
        said += more
        if not answered and said.endswith(QUESTION):
            os.write(terminal, f"{answer}\n".encode())
            answered = True
    raise TimeoutError(f"It has not ended within {COMMAND_LIMIT:.0f} s. It said: {said.decode(errors='replace')}")
