"""What Roundhouse has to hold, and why. Pure: readings in, verdicts out."""

from dataclasses import dataclass

from . import house
from .contenders import HOUSE, RELAY, STANDALONE, Contender
from .measure import CPU, P50, RATE, RSS, START, Readings

# Standalone: one client, one process beside its reaper.
ADDED_P50_MS = 0.12  # a raw relay adds 0.03 to 0.05: room for policy and deadlines, none for tasks or threads
ADDED_P50_OVER_RELAY = 2.0  # the same where the relay itself needs longer: waking two processes costs what it costs
CALLS_PER_SECOND = 20_000  # twenty times the SDK's proxy: no server and no client will wait for us
CPU_MS_PER_1000_CALLS = 40.0  # a twentieth of the SDK's proxy; small beside what any real server spends on a call
RSS_MB = 45.0  # only without `mcp`, 63 MB by itself; the reaper and the house, what they share counted twice
ADDED_START_S = 0.4  # a client's first answer feels immediate; `mcp` alone takes 0.7 s to import

# The house, and the fronts that lead to it.
HOUSE_ADDED_P50_MS = 0.25  # twice the way: a front and a socket more on both legs
HOUSE_ADDED_P50_OVER_RELAY = 4.0
CONNECTED_MS = 60.0  # a front is an interpreter and a connection; the interpreter alone takes most of it
FRONT_RSS_MB = 14.0  # for each client, where each had a gateway of 55 to 254 MB
COLD_LIST_S = 0.4  # what clients that list once have to wait for; other gateways start every server first: 1.1 to 5.4 s
WARM_LIST_S = 0.15
HOUSE_RSS_MB = 90.0  # once, for all clients and all known servers; the reaper and the house
LISTED_AGAIN_MS = 3.0  # prepared bytes; a raw relay needs 1 ms, the SDK's proxy 74
SEARCH_MS = 10.0  # a search is one of a model's steps, which take seconds
COMMAND_MS = 150.0  # a command that answers at once to the eye


@dataclass(frozen=True)
class Verdict:
    what: str
    measured: float
    wanted: str
    held: bool


def judge(readings: Readings) -> list[Verdict]:
    """One verdict a bar, each on the median over rounds."""

    def ours(measure: str) -> float:
        return needed(readings.of(HOUSE, measure))

    return [
        added_p50(readings, STANDALONE, ADDED_P50_MS, ADDED_P50_OVER_RELAY),
        at_least("calls/s, 64 in flight", needed(readings.of(STANDALONE, RATE)), CALLS_PER_SECOND),
        at_most("CPU ms per 1,000 calls", needed(readings.of(STANDALONE, CPU)), CPU_MS_PER_1000_CALLS),
        at_most("RSS, MB", needed(readings.of(STANDALONE, RSS)), RSS_MB),
        at_most("start beyond direct, s", needed(readings.added(STANDALONE, START)), ADDED_START_S),
        added_p50(readings, HOUSE, HOUSE_ADDED_P50_MS, HOUSE_ADDED_P50_OVER_RELAY),
        at_most("front to connected, ms", ours(house.CONNECTED), CONNECTED_MS),
        at_most("RSS of a front, MB", ours(house.FRONT_RSS), FRONT_RSS_MB),
        at_most("cold to stored list, s", ours(house.COLD), COLD_LIST_S),
        at_most("warm to stored list, s", ours(house.WARM), WARM_LIST_S),
        at_most("RSS at rest, MB", ours(house.HOUSE_RSS), HOUSE_RSS_MB),
        at_most("1,000 listed again, ms", ours(house.AGAIN), LISTED_AGAIN_MS),
        at_most("1,000 searched, ms", ours(house.SEARCH), SEARCH_MS),
        at_most("`roundhouse list`, ms", ours(house.COMMAND), COMMAND_MS),
    ]


def added_p50(readings: Readings, contender: Contender, bar: float, over_relay: float) -> Verdict:
    """What it adds to a direct call, against a number or a multiple of what the physical limit adds."""
    allowed = max(bar, over_relay * needed(readings.added(RELAY, P50)))
    return at_most(f"{contender.name}: added p50, ms", needed(readings.added(contender, P50)), allowed)


def at_most(what: str, measured: float, bar: float) -> Verdict:
    return Verdict(what, measured, f"at most {bar:,.6g}", measured <= bar)


def at_least(what: str, measured: float, bar: float) -> Verdict:
    return Verdict(what, measured, f"at least {bar:,.6g}", measured >= bar)


def needed(value: float | None) -> float:
    if value is None:
        raise LookupError("a bar asks for something that was not measured")
    return value
