"""Asking an instance whether it lives, and its processes what they use. Each is bounded, and neither harms the other.

A process that goes while it is looked at is no error: there is just nothing to say of it any more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio import to_thread

from roundhouse.errors import METHOD_NOT_FOUND, RoundhouseError
from roundhouse.model.text import shorten
from roundhouse.wire.envelope import Members, Unreadable, members

if TYPE_CHECKING:
    import psutil

PROBE_TIMEOUT = 5.0  # seconds; what cannot say "I am here" in that time cannot do anything else either
MARGIN = 5.0  # seconds more for the question itself, so that it is always we who give up
TABLE_AGE = 5.0  # seconds for which the list of processes is good; reading it costs as much as all the rest
PING, LIST = "ping", "tools/list"


class Probed(Protocol):
    """An instance, as far as its health goes."""

    @property
    def name(self) -> str:
        """Of its server."""

    @property
    def key(self) -> str:
        """What tells it from other instances of the same server."""

    @property
    def pid(self) -> int | None:
        """Of its process, None where there is none."""

    @property
    def state(self) -> str: ...

    @property
    def since(self) -> float:
        """When it came into this state, on anyio's clock."""

    @property
    def reason(self) -> str:
        """Why it is in this state, where that is not obvious."""

    @property
    def answered(self) -> float:
        """When it last answered anything, on anyio's clock; minus infinity: never."""

    async def ask(self, method: str, timeout: float) -> Members:
        """Ask it something of no consequence. Returns the answer's members, an `error` among them.

        Raises: `RoundhouseError`, why there is no answer within `timeout` seconds.
        """

    def trouble(self, reason: str) -> None:
        """It does not answer, though it lives."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a question.

    Attributes:
        took: seconds until its answer.
        error: why there was none; empty where there was one.
        unknown: it answered that it does not know the method, which only the living can.
    """

    took: float = 0.0
    error: str = ""
    unknown: bool = False


async def ask(instance: Probed, method: str) -> Reply:
    """Ask it, and wait for at most `PROBE_TIMEOUT` seconds. Whatever it answers, it lives."""
    asked = anyio.current_time()
    answer: Members = {}
    try:
        with anyio.fail_after(PROBE_TIMEOUT):
            answer = await instance.ask(method, PROBE_TIMEOUT + MARGIN)
    except TimeoutError:
        return Reply(error=f"it did not answer {method} within {PROBE_TIMEOUT:.0f} s")
    except RoundhouseError as failed:
        return Reply(error=shorten(str(failed), 200))
    return Reply(anyio.current_time() - asked, unknown=_is_unknown(answer))


def _is_unknown(answer: Members) -> bool:
    try:
        code = members(answer.get("error", b"{}")).get("code")
    except Unreadable:
        return False
    return code is not None and bytes(code) == b"%d" % METHOD_NOT_FOUND


@dataclass(frozen=True, slots=True)
class Facts:
    """What a process and everything below it use. See `Sample` for the fields."""

    rss: int
    cpu: float | None
    fds: int | None
    fd_limit: int | None
    children: int
    uptime: float


class Processes:
    """Looks at processes, one after the other, on a thread: the list of all there are takes milliseconds to read."""

    def __init__(self) -> None:
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._table: dict[int, list[int]] = {}  # children by parent
        self._table_read = float("-inf")
        self._before: dict[int, tuple[float, dict[psutil.Process, float]]] = {}  # processor time, by the first pid

    async def look(self, pid: int) -> Facts | None:
        """What the process uses, and what it started; None where it has gone."""
        return await to_thread.run_sync(self._look, pid, limiter=self._one_at_a_time)

    def _look(self, pid: int) -> Facts | None:
        import psutil  # here: a house that rests does without it

        try:
            first = psutil.Process(pid)
            uptime = time.time() - first.create_time()
            if first.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.Error:
            return None
        tree = [first, *self._below(first)]
        rss = 0
        spent: dict[psutil.Process, float] = {}
        fullest: tuple[float, int, int] | None = None
        for process in tree:
            try:
                with process.oneshot():
                    rss += process.memory_info().rss
                    times = process.cpu_times()
                spent[process] = times.user + times.system
                fds, limit = _descriptors(process)
            except psutil.Error:
                continue
            if fds is not None:
                fullest = max(fullest or (-1.0, 0, 0), (fds / limit if limit else 0.0, fds, limit or 0))
        if first not in spent:
            return None
        return Facts(
            rss=rss,
            cpu=self._percent(pid, spent),
            fds=fullest[1] if fullest else None,
            fd_limit=(fullest[2] or None) if fullest else None,
            children=len(spent) - 1,
            uptime=uptime,
        )

    def _below(self, first: psutil.Process) -> list[psutil.Process]:
        """Every process that descends from this one."""
        import psutil

        now = time.monotonic()
        if now - self._table_read > TABLE_AGE:
            self._table_read, self._table = now, {}
            for process in psutil.process_iter(["ppid"]):
                self._table.setdefault(process.info["ppid"], []).append(process.pid)
            there = {pid for children in self._table.values() for pid in children}
            self._before = {pid: before for pid, before in self._before.items() if pid in there}
        found: list[psutil.Process] = []
        ahead = [first]
        for parent in ahead:  # grows as it goes
            for pid in self._table.get(parent.pid, ()):
                try:
                    child = psutil.Process(pid)
                    if (
                        child.ppid() == parent.pid and child.status() != psutil.STATUS_ZOMBIE
                    ):  # it may be another by now
                        found.append(child)
                        ahead.append(child)
                except psutil.Error:
                    continue
        return found

    def _percent(self, pid: int, spent: dict[psutil.Process, float]) -> float | None:
        """Percent of a core since the last look; None at the first."""
        now = time.time()
        at, before = self._before.get(pid, (now, {}))
        self._before[pid] = now, spent
        if now <= at or not set(before) & set(spent):
            return None
        used = sum(
            time_now - before.get(process, 0.0)
            for process, time_now in spent.items()
            if process in before or process.create_time() >= at
        )
        return max(0.0, 100 * used / (now - at))


def _descriptors(process: psutil.Process) -> tuple[int | None, int | None]:
    """How many are open and how many may be; None where the system does not say."""
    import psutil

    try:
        fds = process.num_fds()
        limit = process.rlimit(psutil.RLIMIT_NOFILE)[0] if hasattr(process, "rlimit") else None
    except (psutil.AccessDenied, AttributeError):
        return None, None
    return fds, limit if limit and limit > 0 else None
