"""Who is alive below this process. Nobody gets away: an orphan falls to us, the subreaper, and is seen here."""

from __future__ import annotations

import ctypes
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil

LOOK_EVERY = 0.005  # seconds between two looks
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of what is left behind below us. Linux only; elsewhere a daemon could hide."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def running() -> list[psutil.Process]:
    """Every living process below this one."""
    return living(psutil.Process().children(recursive=True))


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; a zombie does not."""
    return [process for process in processes if _lives(process)]


def wait_while(some: Callable[[], list[psutil.Process]], within: float) -> list[psutil.Process]:
    """Look until there are none of them, for so many seconds at most. Returns those there still are."""
    deadline = time.monotonic() + within
    while (left := some()) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)
    return left


def described(process: psutil.Process) -> str:
    """Its pid and command line."""
    with suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline())}"
    return str(process.pid)


def counted(processes: Iterable[psutil.Process]) -> str:
    """How many of each name."""
    names: Counter[str] = Counter()
    for process in processes:
        with suppress(psutil.Error):
            names[process.name().split()[0]] += 1
    return ", ".join(f"{count} {name}" for name, count in names.most_common())


def kill(processes: Iterable[psutil.Process]) -> None:
    """End them at once."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
