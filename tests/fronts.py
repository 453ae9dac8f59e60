"""Homes with fake houses (servers/fake_house.py), and fronts on them as clients start them.

When a home closes, its houses are ended, and nothing below this process may be left of it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from roundhouse.rendezvous import Place, start_house
from tests.house import House as Client
from tests.house import launched, living, until, wait_until_nobody_is_left

FAKE_HOUSE = Path(__file__).parent / "servers" / "fake_house.py"
NO_PLACE = 75  # exit code of our front where it would serve its client alone
FRONT = """
import sys
from roundhouse import front, rendezvous
{setting}
try:
    sys.exit(front.run(sys.argv[1], sys.argv[2:]))
except rendezvous.CannotHouse as reason:
    sys.exit(sys.stderr.write(str(reason)) and {no_place})
"""

Entry = dict[str, Any]
Started = AbstractContextManager[Client]


class FakeHome:
    """A folder in which fake houses keep their journal."""

    def __init__(self, path: Path, runtime: Path) -> None:
        self.path = path
        self.runtime = runtime
        self.place = Place(str(path))

    def house(self, *flags: str) -> list[str]:
        """The command that starts a fake house with these flags."""
        return [sys.executable, str(FAKE_HOUSE), *flags]

    def command(self, *flags: str, setting: str = "") -> list[str]:
        """The command of a front that starts such houses.

        Args:
            setting: assignments to constants of `front` and `rendezvous`.
        """
        script = FRONT.format(setting=setting, no_place=NO_PLACE)
        return [sys.executable, "-c", script, str(self.path), *self.house(*flags)]

    def front(self, *flags: str, setting: str = "", env: Mapping[str, str] | None = None) -> Started:
        """A client that has started a front."""
        return launched(self.command(*flags, setting=setting), dict(env or {}), leaves_a_house=True)

    def start(self, *flags: str) -> int:
        """Start a house that is up when this returns. Returns its pid."""
        started = start_house(self.place, command=self.house(*flags))
        started.close()
        assert until(lambda: os.path.exists(self.place.socket))
        return started.pid

    # -- what the houses say

    def journal(self) -> list[Entry]:
        with suppress(OSError):
            return [json.loads(line) for line in (self.path / "journal").read_text().splitlines()]
        return []

    def lives(self) -> list[Entry]:
        """Every house there was: its pid, and how it found itself."""
        return [{"pid": entry["pid"], **entry["life"]} for entry in self.journal() if "life" in entry]

    def heard(self, by: int | None = None, kind: str = "") -> list[Entry]:
        """The messages that the houses, or this one, were sent: all, or those with a method."""
        heard = [entry["heard"] or entry for entry in self.journal() if "heard" in entry and by in (None, entry["pid"])]
        return [message for message in heard if not kind or message.get("method") == kind]

    def methods(self, by: int) -> list[str]:
        return [message.get("method", "(answer)") for message in self.heard(by)]

    def hellos(self) -> list[Entry]:
        return [entry["hello"] for entry in self.journal() if "hello" in entry]

    def living_houses(self) -> list[int]:
        running = {int(line.split()[0]) for line in living()}
        return [life["pid"] for life in self.lives() if life["pid"] in running]

    # -- what is done to them

    def kill_house(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal the house that lives now. Returns its pid."""
        pid = self.living_houses()[-1]
        os.kill(pid, number)
        return pid

    def end(self) -> None:
        for pid in self.living_houses():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def fake_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHome]:
    """A home of its own in a runtime folder of its own, which has a short path, as a socket needs one."""
    before = frozenset(living())
    runtime = Path(tempfile.mkdtemp(prefix="rh-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.delenv("ROUNDHOUSE_HOME", raising=False)
    home = FakeHome(tmp_path / "home", runtime)
    try:
        yield home
        home.end()
        assert wait_until_nobody_is_left(but=before) == []
    finally:
        home.end()
        shutil.rmtree(runtime)


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    return int(psutil.Process(pid).memory_info().rss)
