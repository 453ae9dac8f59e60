"""One run: all contenders alive at once, measured in turns, so that what else the machine does hits all alike.

Within a round one measure is taken of every contender before the next begins, and every other round goes the other way
about. What is reported is the median over rounds; what is compared are values of the same round.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from tempfile import NamedTemporaryFile

from .client import Session, session
from .contenders import CONFIG, CONTENDERS, DIRECT, ECHO, Contender
from .processes import cpu_seconds, memory_mb, without

SMALL = 100  # bytes of text: what a tool call usually carries
LARGE = 1_000_000  # bytes of text: a file
IN_FLIGHT_RATE = 64  # a busy agent with sub-agents; enough for every process to find work whenever it wakes
IN_FLIGHT_CPU = 16  # between one call at a time and full batches: CPU per call falls as batches grow
SLICE = 0.4  # seconds a turn takes: some 400 calls of the slowest contender, and a round stays short
WARM_UP_CALLS = 300  # the interpreter has specialised its hot code and the allocator has its memory
LEAST_CALLS = 2 * IN_FLIGHT_RATE  # a turn never has fewer, however slow the machine
LARGE_CALLS = 4  # a turn of 1 MB calls takes about as long as the other turns

P50, P99 = "p50_ms", "p99_ms"
RATE = "calls_per_second"
CPU = "cpu_ms_per_1000_calls"
START = "start_s"
RSS, PSS, RSS_LARGE = "rss_mb", "pss_mb", "rss_after_large_mb"
LARGE_P50 = "large_p50_ms"


@dataclass
class Readings:
    """What was measured, by contender and measure, a value a round. A missing value is None: direct has no gateway."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def note(self, contender: Contender, measure: str, value: float) -> None:
        self.values.setdefault(contender.name, {}).setdefault(measure, []).append(value)

    def of(self, contender: Contender, measure: str) -> float | None:
        found = self.values.get(contender.name, {}).get(measure)
        return median(found) if found else None

    def least(self, contender: Contender, measure: str) -> float | None:
        return min(self.values.get(contender.name, {}).get(measure, []), default=None)

    def added(self, contender: Contender, measure: str) -> float | None:
        """What the contender adds to a direct call: the median of the differences within each round."""
        theirs, direct = (self.values.get(who.name, {}).get(measure, []) for who in (contender, DIRECT))
        return median(a - b for a, b in zip(theirs, direct, strict=True)) if contender != DIRECT and theirs else None


def run(rounds: int) -> Readings:
    """Measure every contender; raises `ContenderError` if one of them cannot start or answers wrongly."""
    readings = Readings()
    with ExitStack() as stack:
        config = Path(stack.enter_context(NamedTemporaryFile("w", suffix=".json")).name)
        config.write_text(json.dumps(CONFIG))
        sessions = [stack.enter_context(session(contender, config)) for contender in CONTENDERS]
        paces = {each.contender.name: warm_up(each) for each in sessions}
        for turn in alternately(sessions, rounds):
            take_starts(turn, config, readings)
            take_latencies(turn, paces, readings)
            take_rates(turn, paces, readings)
            take_cpu(turn, paces, readings)
        take_memory(sessions, readings)
        for turn in alternately(sessions, rounds):
            take_large(turn, readings)
        take_memory_after_large(sessions, readings)
    return readings


@dataclass(frozen=True)
class Pace:
    """How many calls fill a turn: one at a time, and with many in flight."""

    alone: int
    crowded: int


def warm_up(each: Session) -> Pace:
    each.rate(WARM_UP_CALLS, IN_FLIGHT_RATE, SMALL)
    crowded = each.rate(WARM_UP_CALLS, IN_FLIGHT_RATE, SMALL)
    alone = 1 / median(each.latencies(WARM_UP_CALLS, SMALL))
    return Pace(alone=max(LEAST_CALLS, int(alone * SLICE)), crowded=max(LEAST_CALLS, int(crowded * SLICE)))


def alternately(sessions: list[Session], rounds: int) -> Iterator[list[Session]]:
    for number in range(rounds):
        yield sessions[:: -1 if number % 2 else 1]


def take_starts(turn: list[Session], config: Path, readings: Readings) -> None:
    """Of all that know nobody when they start; the house, which remembers, is measured by itself."""
    for each in turn:
        if each.contender.servers == "home":
            continue
        with session(each.contender, config) as fresh:
            readings.note(each.contender, START, fresh.start_seconds)


def take_latencies(turn: list[Session], paces: dict[str, Pace], readings: Readings) -> None:
    for each in turn:
        hundredths = quantiles(each.latencies(paces[each.contender.name].alone, SMALL), n=100)
        readings.note(each.contender, P50, hundredths[49] * 1000)
        readings.note(each.contender, P99, hundredths[98] * 1000)


def take_rates(turn: list[Session], paces: dict[str, Pace], readings: Readings) -> None:
    for each in turn:
        readings.note(each.contender, RATE, each.rate(paces[each.contender.name].crowded, IN_FLIGHT_RATE, SMALL))


def take_cpu(turn: list[Session], paces: dict[str, Pace], readings: Readings) -> None:
    for each in turn:
        calls = paces[each.contender.name].crowded
        if pids := gateway(each):
            before = cpu_seconds(pids)
            each.rate(calls, IN_FLIGHT_CPU, SMALL)
            readings.note(each.contender, CPU, (cpu_seconds(pids) - before) / calls * 1e6)


def take_memory(sessions: list[Session], readings: Readings) -> None:
    for each in sessions:
        if pids := gateway(each):
            rss, pss = memory_mb(pids)
            readings.note(each.contender, RSS, rss)
            readings.note(each.contender, PSS, pss)


def take_large(turn: list[Session], readings: Readings) -> None:
    for each in turn:
        readings.note(each.contender, LARGE_P50, median(each.latencies(LARGE_CALLS, LARGE)) * 1000)


def take_memory_after_large(sessions: list[Session], readings: Readings) -> None:
    for each in sessions:
        if pids := gateway(each):
            readings.note(each.contender, RSS_LARGE, memory_mb(pids)[0])


def gateway(each: Session) -> list[int]:
    """The contender's own processes: all it started except the echo server, which must be there exactly once."""
    pids = each.pids()
    own = without(pids, ECHO)
    if len(pids) - len(own) != 1:
        raise each.failed(f"runs {len(pids) - len(own)} echo servers instead of one: its costs would be wrong")
    return own
