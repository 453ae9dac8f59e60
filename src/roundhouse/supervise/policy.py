"""What to do when an instance ends, and when to stop trusting one that lives. Pure: no clock, no process, no await."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from roundhouse.model.servers import Start

FIRST_DELAY = 0.1  # seconds; most crashes are one-off, and somebody is waiting
BASE_DELAY = 0.5
LONGEST_DELAY = 60.0
RESTARTS_ALLOWED = 5  # within the window; more is a loop, and a loop only heats the room
RESTART_WINDOW = 60.0  # seconds
STEADY = 10.0  # seconds in READY after which earlier crashes are forgotten
RETRY_FAILED = 300.0  # seconds until one more attempt is made for a server that was given up
TROUBLES_ALLOWED = 5  # unreadable or missing answers in a row before calls fail fast


@dataclass(frozen=True, slots=True)
class Restart:
    delay: float  # seconds


@dataclass(frozen=True, slots=True)
class GiveUp:
    because: str
    retry_after: float = RETRY_FAILED  # seconds


def after_end(
    ends: Sequence[float], now: float, *, streak: int, last_chance: bool, random: Callable[[float, float], float]
) -> Restart | GiveUp:
    """What follows an unwanted end.

    Args:
        ends: when this and earlier lives ended, in seconds on `now`'s clock.
        streak: how many ended in a row, this one included, without a steady life between them.
        last_chance: this life was the single attempt granted to a server already given up, and came to nothing.
        random: `uniform(low, high)`, so that servers killed together do not come back together.
    """
    recent = sum(now - end <= RESTART_WINDOW for end in ends)
    if last_chance:
        return GiveUp("it failed again after it was given up")
    if recent > RESTARTS_ALLOWED:
        return GiveUp(f"it ended {recent} times within {RESTART_WINDOW:.0f} s")
    if streak <= 1:
        return Restart(FIRST_DELAY * random(0.0, 1.0))
    return Restart(random(0.5, 1.0) * min(LONGEST_DELAY, BASE_DELAY * 2.0 ** min(streak - 1, 10)))


def unused(start: Start, busy: bool) -> bool:
    """Whether an end matters to nobody: the next call starts it again."""
    return start is Start.ON_DEMAND and not busy


def steady(lived: float, last_delay: float) -> bool:
    """Whether a life of `lived` seconds in READY was long enough that the delays begin anew."""
    return lived >= max(STEADY, last_delay)
