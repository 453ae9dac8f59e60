"""What Roundhouse has to hold, and why. Pure: readings in, verdicts out."""

from dataclasses import dataclass

from .contenders import RELAY, ROUNDHOUSE
from .measure import CPU, P50, RATE, RSS, START, Readings

ADDED_P50_MS = 0.12  # a raw relay adds 0.03 to 0.05: room for policy and deadlines, none for tasks or threads
ADDED_P50_OVER_RELAY = 2.0  # the same where the relay itself needs longer: waking two processes costs what it costs
CALLS_PER_SECOND = 20_000  # twenty times the SDK's proxy: no server and no client will wait for us
CPU_MS_PER_1000_CALLS = 40.0  # a twentieth of the SDK's proxy; small beside what any real server spends on a call
RSS_MB = 45.0  # only without `mcp`, 63 MB by itself; the reaper and the house, what they share counted twice
ADDED_START_S = 0.4  # a client's first answer feels immediate; `mcp` alone takes 0.7 s to import


@dataclass(frozen=True)
class Verdict:
    what: str
    measured: float
    wanted: str
    held: bool


def judge(readings: Readings) -> list[Verdict]:
    """One verdict a bar, each on the median over rounds."""
    added_p50 = needed(readings.added(ROUNDHOUSE, P50))
    allowed_p50 = max(ADDED_P50_MS, ADDED_P50_OVER_RELAY * needed(readings.added(RELAY, P50)))
    return [
        at_most("added p50 at 100 B, ms", added_p50, allowed_p50),
        at_least("calls/s, 64 in flight", needed(readings.of(ROUNDHOUSE, RATE)), CALLS_PER_SECOND),
        at_most("CPU ms per 1,000 calls", needed(readings.of(ROUNDHOUSE, CPU)), CPU_MS_PER_1000_CALLS),
        at_most("RSS, MB", needed(readings.of(ROUNDHOUSE, RSS)), RSS_MB),
        at_most("start beyond direct, s", needed(readings.added(ROUNDHOUSE, START)), ADDED_START_S),
    ]


def at_most(what: str, measured: float, bar: float) -> Verdict:
    return Verdict(what, measured, f"at most {bar:,.6g}", measured <= bar)


def at_least(what: str, measured: float, bar: float) -> Verdict:
    return Verdict(what, measured, f"at least {bar:,.6g}", measured >= bar)


def needed(value: float | None) -> float:
    if value is None:
        raise LookupError("a bar asks for something that was not measured")
    return value
