"""What a tree of processes costs, read from Linux itself. Pure reading: nothing is started, stopped or signalled."""

import os
import select
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

KIB = 1024
MB = 1e6


def family(leader: int) -> list[int]:
    """The process and all its living descendants, the eldest first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended while we looked
            children.setdefault(parent(int(stat.parent.name)), []).append(int(stat.parent.name))
    found = [leader]
    for pid in found:
        found += children.get(pid, [])
    return found


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def without(pids: Iterable[int], command: Sequence[str]) -> list[int]:
    """Those that do not run exactly this command; the spelling of the executable does not count."""
    return [pid for pid in pids if _argv(pid)[1:] != list(command[1:])]


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time together.

    From each process's CPU clock: nanoseconds, threads that have ended included, where /proc/PID/stat counts in
    hundredths of a second. The clock's number is the kernel's ABI, see clock_getcpuclockid(3).
    """
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def memory_mb(pids: Iterable[int]) -> tuple[float, float]:
    """RSS and PSS, each summed, in MB of a million bytes.

    RSS counts what a fork shares with its parent twice; PSS splits what is shared among all who share it, other
    contenders with the same interpreter included.
    """
    rss = pss = 0
    for pid in pids:
        rollup = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        rss += int(rollup["Rss"].split()[0])
        pss += int(rollup["Pss"].split()[0])
    return rss * KIB / MB, pss * KIB / MB


def pidfd(pid: int) -> int | None:
    """A handle on the process that no later process can inherit; None if it is gone."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def wait_for_all(kin: list[int], seconds: float) -> None:
    """Until every one of these has ended, or the time is over."""
    living, deadline = set(kin), time.perf_counter() + seconds
    endings = select.poll()
    for fd in kin:
        endings.register(fd, select.POLLIN)
    while living and (left := deadline - time.perf_counter()) > 0:
        for fd, _ in endings.poll(left * 1000):
            endings.unregister(fd)
            living.remove(fd)


def _argv(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
