"""So many at once, and so many a second after that."""

from __future__ import annotations


class Quota:
    """A bucket that fills with time.

    Args:
        burst: how many may be taken from a full bucket.
        rate: how many a second it regains.
        now: seconds, on the clock of `take`.
    """

    def __init__(self, burst: float, rate: float, now: float) -> None:
        self._burst = burst
        self._rate = rate
        self._left = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more is allowed now."""
        if self._left < 1:
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
            self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
