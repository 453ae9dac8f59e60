"""How an instance of a server is: what was measured, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How an instance is, in a word."""

    HEALTHY = "healthy"
    WATCH = "watch"  # it works, and something is odd
    SICK = "sick"  # it does not work, or will not for long
    STOPPED = "stopped"  # as it should be: nobody needs it
    UNKNOWN = "unknown"  # too early to say


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement. The reasons are sentences with numbers and what to do; of a healthy one there are none."""

    level: Level
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """How one instance was at one moment. What could not be measured is None.

    Attributes:
        instance: its key.
        at: seconds since the epoch.
        by: what showed that it lives: "ping", "tools/list", "calls" (it answered some just before); empty where it was
            not asked.
        ping_ms: how long its answer took.
        error: why there was no answer; empty where there was one.
        rss: resident bytes of its process and all below it.
        cpu: percent of one core that these used since the sample before.
        fds, fd_limit: open descriptors of the one among them that is nearest to its limit.
        children: processes below its own.
        uptime: seconds that its process has lived.
    """

    server: str
    instance: str
    at: float
    state: str
    by: str = ""
    ping_ms: float | None = None
    error: str = ""
    rss: int | None = None
    cpu: float | None = None
    fds: int | None = None
    fd_limit: int | None = None
    children: int | None = None
    uptime: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An instance went from one state to another.

    Attributes:
        at: seconds since the epoch.
    """

    at: float
    before: str
    after: str
    reason: str = ""
