"""The processes there are, read from /proc: who descends from whom, who carries our mark, and killing just them.

A process is a pid *and* its start time, so that a pid used again is never taken for its predecessor. Where there is no
/proc (macOS) nothing is found, and stopping relies on process groups alone. Standard library only: the reaper uses it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator

# Environment variable of every process we start: "pid namespace:house pid:house start time:number of the life". Other
# versions of ours read it to decide what to kill, so a different form needs a different name.
MARK = "ROUNDHOUSE_MARK"


class Process:
    """One process. Plain, because the reaper is better off without `typing` and `dataclasses`.

    Attributes:
        started: clock ticks since boot.
    """

    __slots__ = ("pid", "started")

    def __init__(self, pid: int, started: int) -> None:
        self.pid = pid
        self.started = started

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Process) and (self.pid, self.started) == (other.pid, other.started)

    def __hash__(self) -> int:
        return hash((self.pid, self.started))


def identify(pid: int) -> Process | None:
    """The process that has this pid now, or None."""
    fields = _stat(pid)
    return Process(pid, int(fields[19])) if fields else None


def alive(process: Process) -> bool:
    """Whether it still runs; a zombie does not."""
    fields = _stat(process.pid)
    return bool(fields) and int(fields[19]) == process.started and fields[0] not in ("Z", "X")


def session_of(process: Process) -> int:
    """The session it is in, 0 when it has gone."""
    fields = _stat(process.pid)
    return int(fields[3]) if fields else 0


def descendants(of: int) -> list[Process]:
    """All living processes below this pid, nearest first, zombies left out."""
    below: dict[int, list[Process]] = {}
    for pid in _pids():
        fields = _stat(pid)
        if fields and fields[0] not in ("Z", "X"):
            below.setdefault(int(fields[1]), []).append(Process(pid, int(fields[19])))
    found: list[Process] = []
    ahead = list(below.get(of, ()))
    while ahead:
        process = ahead.pop(0)
        found.append(process)
        ahead += below.get(process.pid, ())
    return found


def mark_of(process: Process) -> str | None:
    """The mark in its environment, if it carries one and we may look."""
    try:
        with open(f"/proc/{process.pid}/environ", "rb") as environ:
            variables = environ.read().split(b"\0")
    except OSError:
        return None
    lead = f"{MARK}=".encode()
    return next((v[len(lead) :].decode(errors="replace") for v in variables if v.startswith(lead)), None)


def left_behind() -> list[Process]:
    """Processes that carry the mark of a house that no longer lives; never ourselves, nor what we are part of."""
    found = []
    kin = {process.pid for process in descendants(os.getpid())} | set(_ancestry(os.getpid()))
    for pid in _pids():
        if pid in kin:
            continue
        process = identify(pid)
        mark = mark_of(process) if process else None
        if process and mark and not _house_lives(mark):
            found.append(process)
    return found


def kill(processes: Iterable[Process], number: signal.Signals) -> None:
    """Send a signal to exactly these, and to nothing that took over one of their pids."""
    for process in processes:
        try:
            handle = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else None
        except OSError:
            continue
        try:
            if alive(process):  # looked at only after the handle is held: from here on it means this process
                if handle is None:
                    os.kill(process.pid, number)
                else:
                    signal.pidfd_send_signal(handle, number)
        except OSError:
            pass
        finally:
            if handle is not None:
                os.close(handle)


def kill_groups(processes: Iterable[Process]) -> None:
    """SIGKILL these and their process groups: a group cannot escape by forking in between."""
    ours = os.getpgrp()
    for process in processes:
        fields = _stat(process.pid)
        group = int(fields[2]) if fields and int(fields[19]) == process.started else 0
        if group > 1 and group != ours:
            try:  # noqa: SIM105 - the reaper does without contextlib
                os.killpg(group, signal.SIGKILL)
            except OSError:
                pass
    kill(processes, signal.SIGKILL)


def mark_of_house() -> str:
    """What the marks of this process's children begin with."""
    me = identify(os.getpid())
    return f"{_namespace()}:{os.getpid()}:{me.started if me else 0}"


def _house_lives(mark: str) -> bool:
    """Whether a mark's house lives, or is none of our business: pids of another container mean nothing here."""
    parts = mark.split(":")
    if len(parts) != 4 or not all(part.isdigit() for part in parts) or int(parts[0]) != _namespace():
        return True
    return alive(Process(int(parts[1]), int(parts[2])))


def _ancestry(pid: int) -> Iterator[int]:
    while pid > 0:
        yield pid
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0


def _namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _pids() -> Iterator[int]:
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    for name in names:
        if name.isdigit():
            yield int(name)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (field 3 of proc(5)), empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            line = stat.read()
    except OSError:
        return []
    return line[line.rindex(b")") + 2 :].decode().split()
