"""A process that kills itself at the N-th moment of what it does: `python -m tests.store.dying WHAT WHERE N`.

It ends by itself, with code 0, when there are fewer moments.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path

from roundhouse.store.schema import facts, migrate, read_migrations

TICK = 150  # instructions of SQLite's virtual machine between two moments


class Moments:
    """Counts down to the end."""

    def __init__(self, left: int) -> None:
        self.left = left

    def one(self, *_: object) -> int:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0


def take_steps(folder: Path, moments: Moments) -> None:
    """Migrate `folder/store.db` by `folder/steps`, or by our own; a moment is a statement, or a part of one."""
    steps = read_migrations(folder / "steps") or facts()
    connection = sqlite3.connect(folder / "store.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.set_trace_callback(moments.one)
    connection.set_progress_handler(moments.one, TICK)
    migrate(connection, steps)
    connection.close()


def open_home(home: Path, moments: Moments) -> None:
    """Open the facts of a home, which may be damaged; a moment is a database that is opened, copied or renamed."""
    from roundhouse.store.mend import open_place  # only here: a process that migrates is started a hundred times
    from roundhouse.store.store import places

    place, _ = places(home)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("open", "os.rename", "sqlite3.connect") and ".db" in str(arguments[0]):
            moments.one()

    sys.addaudithook(watch)
    open_place(place).connection.close()


if __name__ == "__main__":
    what, where, count = sys.argv[1:]
    {"migrate": take_steps, "open": open_home}[what](Path(where), Moments(int(count)))
