"""`python -m bench quick`: Roundhouse beside a direct call, the physical limit and the SDK's proxy, in two minutes.

Prints one table and a verdict a bar; the last line is the result. Exit code 0: every bar held. 1: one was missed.
2: nothing was measured, because a contender failed; its stderr is shown. Linux only: it reads /proc and uses pidfds.
"""

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from . import house, measure
from .bars import Verdict, judge
from .client import no_survivors
from .contenders import CONTENDERS, DIRECT, RELAY, Contender, ContenderError
from .measure import Readings

ROUNDS = 7  # enough for a median that survives two disturbed rounds and their neighbours; two minutes
LABEL, COLUMN = 34, 12  # characters

Value = Callable[[Readings, Contender], float | None]


@dataclass(frozen=True)
class Row:
    label: str
    value: Value
    form: str

    def text(self, readings: Readings) -> str:
        cells = [self.value(readings, contender) for contender in CONTENDERS]
        shown = ["-" if cell is None else self.form.format(cell) for cell in cells]
        return f"{self.label:<{LABEL}}" + "".join(f"{cell:>{COLUMN}}" for cell in shown)


def main() -> int:
    arguments = read_arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))  # leaves through every `finally`
    here = machine()
    print(f"bench quick: {arguments.rounds} rounds, {here}", flush=True)
    try:
        with no_survivors():
            readings = measure.run(arguments.rounds)
            house.take_house(arguments.rounds, readings)
    except ContenderError as failure:
        print(failure, file=sys.stderr)
        print(f"bench-quick: not measured, {failure.contender} failed")
        return 2
    verdicts = judge(readings)
    print(table(readings), report(verdicts), sep="\n\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(here, readings, verdicts), indent=2) + "\n")
    missed = sum(not verdict.held for verdict in verdicts)
    print(f"\nbench-quick: {len(verdicts) - missed} bars held, {missed} missed")
    return 1 if missed else 0


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("suite", choices=["quick"])
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every reading and verdict there as well")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds needs at least 1: there is no median of nothing")
    return arguments


def machine() -> str:
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, load average {load:.2f} before we began"


def table(readings: Readings) -> str:
    heading = " " * LABEL + "".join(f"{contender.name:>{COLUMN}}" for contender in CONTENDERS)
    return "\n".join([heading, *(row.text(readings) for row in ROWS)])


def of(name: str) -> Value:
    return lambda readings, contender: readings.of(contender, name)


def least(name: str) -> Value:
    return lambda readings, contender: readings.least(contender, name)


def added(name: str) -> Value:
    return lambda readings, contender: readings.added(contender, name)


def over(base: Contender, value: Value) -> Value:
    """The ratio to what another contender has, where both have one."""

    def ratio(readings: Readings, contender: Contender) -> float | None:
        mine, theirs = value(readings, contender), value(readings, base)
        return mine / theirs if mine is not None and theirs else None

    return ratio


def report(verdicts: list[Verdict]) -> str:
    lines = []
    for verdict in verdicts:
        word = "PASS" if verdict.held else "FAIL"
        lines.append(f"{word}  {verdict.what:<{LABEL - 6}}{verdict.measured:>{COLUMN},.6g}   {verdict.wanted}")
    return "\n".join(lines)


def as_json(here: str, readings: Readings, verdicts: list[Verdict]) -> dict[str, object]:
    return {"machine": here, "readings": readings.values, "bars": [asdict(verdict) for verdict in verdicts]}


TIMES = "{:,.1f}x"
ROWS = [
    Row("p50 at 100 B, 1 in flight, ms", of(measure.P50), "{:.3f}"),
    Row("  over direct", over(DIRECT, of(measure.P50)), TIMES),
    Row("  added, ms", added(measure.P50), "{:.3f}"),
    Row("  added, over the relay", over(RELAY, added(measure.P50)), TIMES),
    Row("p99 at 100 B, 1 in flight, ms", of(measure.P99), "{:.3f}"),
    Row("calls/s, 64 in flight", of(measure.RATE), "{:,.0f}"),
    Row("  over direct", over(DIRECT, of(measure.RATE)), "{:.3f}x"),
    Row("  over the relay", over(RELAY, of(measure.RATE)), "{:.3f}x"),
    Row("CPU ms per 1,000 calls, 16", of(measure.CPU), "{:,.1f}"),
    Row("  over the relay", over(RELAY, of(measure.CPU)), TIMES),
    Row("RSS after 100 B calls, MB", of(measure.RSS), "{:.1f}"),
    Row("  over the relay", over(RELAY, of(measure.RSS)), TIMES),
    Row("PSS after 100 B calls, MB", of(measure.PSS), "{:.1f}"),
    Row("RSS after 1 MB calls, MB", of(measure.RSS_LARGE), "{:.1f}"),
    Row("first start to tools/list, s", of(measure.START), "{:.3f}"),
    Row("  beyond direct, s", added(measure.START), "{:.3f}"),
    Row("  beyond direct, over the relay", over(RELAY, added(measure.START)), TIMES),
    Row("p50 at 1 MB, 1 in flight, ms", of(measure.LARGE_P50), "{:.2f}"),
    Row("  over direct", over(DIRECT, of(measure.LARGE_P50)), TIMES),
    Row("  over the relay", over(RELAY, of(measure.LARGE_P50)), TIMES),
    Row("start to connected, ms", of(house.CONNECTED), "{:.1f}"),
    Row("  at least", least(house.CONNECTED), "{:.1f}"),
    Row("  beside another client", of(house.CONNECTED_BESIDE), "{:.1f}"),
    Row("cold to stored tools/list, s", of(house.COLD), "{:.3f}"),
    Row("  at least", least(house.COLD), "{:.3f}"),
    Row("warm to stored tools/list, s", of(house.WARM), "{:.3f}"),
    Row("  at least", least(house.WARM), "{:.3f}"),
    Row("  beside another client", of(house.WARM_BESIDE), "{:.3f}"),
    Row("RSS of a front, MB", of(house.FRONT_RSS), "{:.1f}"),
    Row("  of one that started the house", of(house.FIRST_FRONT_RSS), "{:.1f}"),
    Row("RSS at rest, 50 servers, MB", of(house.HOUSE_RSS), "{:.1f}"),
    Row("PSS at rest, 50 servers, MB", of(house.HOUSE_PSS), "{:.1f}"),
    Row("1,000 tools listed again, ms", of(house.AGAIN), "{:.2f}"),
    Row("1,000 tools searched, ms", of(house.SEARCH), "{:.2f}"),
    Row("  the first time", of(house.FIRST_SEARCH), "{:.2f}"),
    Row("`roundhouse list`, ms", of(house.COMMAND), "{:.1f}"),
    Row("  at least", least(house.COMMAND), "{:.1f}"),
    Row("  the first time", of(house.FIRST_COMMAND), "{:.1f}"),
]

if __name__ == "__main__":
    sys.exit(main())
