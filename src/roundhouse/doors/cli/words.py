"""Numbers as people say them. Pure."""

from __future__ import annotations

import time

_STATES = {
    "degraded": "running, but it does not answer",
    "backoff": "down, and waits before its next start",
    "failed": "down, and not started again by itself",
}
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float | None) -> str:
    """`"2 h 5 min"`: the two largest units, whole; nothing for None."""
    if seconds is None:
        return ""
    left = max(0, int(seconds))
    parts = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def size(count: int) -> str:
    """`"12.3 kB"`."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def number(count: int, noun: str) -> str:
    """`"1 tool"`, `"2 tools"`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def condition(state: str) -> str:
    """The state of a server, to be read after "it is"."""
    return _STATES.get(state, state)


def moment(epoch: float) -> str:
    """A time of the clock on the wall, here."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch))
