"""What measurements mean: told with a level, and with reasons that have the numbers and the next step in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.health import judge as room
from roundhouse.health.judge import RULES, History, failures, judge, stood_still, troubled
from roundhouse.health.watch import KEPT, PROBE_EVERY
from roundhouse.model.health import Change, Level, Sample, Verdict
from roundhouse.supervise.states import State

NOW = 1_700_000_000.0
MB = 2**20
GIVEN: dict[str, Any] = {
    "by": "ping",
    "ping_ms": 100.0,
    "rss": 80 * MB,
    "cpu": 2.0,
    "fds": 20,
    "fd_limit": 1024,
    "children": 1,
}


def samples(count: int, every: float = PROBE_EVERY, **measured: Callable[[float], Any]) -> list[Sample]:
    """So many samples of a life, the last one now.

    Args:
        measured: fields as functions of how far the samples have come, from 0 to 1.
    """
    made = []
    for number in range(count):
        way = number / max(1, count - 1)
        fields = {**GIVEN, "uptime": 100 + number * every, **{name: of(way) for name, of in measured.items()}}
        made.append(Sample("a", "default", NOW - (count - 1 - number) * every, "ready", **fields))
    return made


def history(of: Sequence[Sample] = (), state: str = "ready", lasted: float = 7200.0, **more: Any) -> History:
    return History("a", state, NOW - lasted, samples=of, **more)


def only(verdict: Verdict, level: Level) -> str:
    """The one reason of a verdict of this level."""
    assert verdict.level is level, verdict
    (reason,) = verdict.reasons
    return reason


# -- states


def test_one_that_answers_and_uses_little_is_healthy_without_a_word() -> None:
    assert judge(history(samples(KEPT)), NOW) == Verdict(Level.HEALTHY)


def test_one_that_became_ready_just_now_is_healthy() -> None:
    assert judge(history(lasted=1.0), NOW) == Verdict(Level.HEALTHY)


@pytest.mark.parametrize(
    ("state", "lasted", "reason", "level", "said"),
    [
        ("stopped", 9999, "", Level.STOPPED, "It is stopped."),
        ("stopped", 9999, "nobody has called it for a while", Level.STOPPED, "stopped: nobody has called it"),
        ("stopping", 3, "on request", Level.STOPPED, "It is stopping: on request."),
        ("stopping", 45, "", Level.WATCH, "stopping for 45 s"),
        ("starting", 3, "", Level.UNKNOWN, "starting for 3 s"),
        ("starting", 95, "", Level.WATCH, 'starting for 95 s. read_logs {"name": "a"}'),
        ("backoff", 1, "it exited with code 1", Level.WATCH, "started again: it exited with code 1."),
        ("degraded", 9, "3 probes in a row got no answer", Level.SICK, "calls fail at once: 3 probes"),
        (
            "failed",
            60,
            "The command 'x' was not found.",
            Level.SICK,
            "failed: The command 'x' was not found. read_logs",
        ),
    ],
)
def test_every_state_has_its_verdict(state: str, lasted: float, reason: str, level: Level, said: str) -> None:
    assert said in only(judge(history(state=state, lasted=lasted, reason=reason), NOW), level)


def test_the_states_are_those_of_the_supervisor() -> None:
    known = {room.STOPPED, room.STARTING, *room.LIVE, room.BACKOFF}
    assert known <= {state.value for state in State}
    for state in State:
        found = judge(history(state=state.value), NOW)
        assert (found.level is Level.HEALTHY) == (state is State.READY), "a state without a rule"


# -- answers


def failed(count: int, error: str = "it did not answer ping within 5 s") -> list[Sample]:
    return [replace(sample, error=error, ping_ms=None) for sample in samples(count)]


def test_three_probes_in_a_row_without_an_answer_are_trouble_and_two_are_not() -> None:
    two, three = history([*samples(9)[:7], *failed(2)]), history([*samples(9)[:6], *failed(3)])
    assert (failures(two), failures(three)) == (2, 3)
    assert (troubled(two), troubled(three)) == ("", "3 probes in a row got no answer")
    assert "last two probes got no answer: it did not answer ping" in only(judge(two, NOW), Level.WATCH)
    assert "3 probes in a row without an answer" in only(judge(three, NOW), Level.SICK)
    assert "restart_server" in judge(three, NOW).reasons[0]


def test_an_answer_ends_a_row_of_failures() -> None:
    assert failures(history([*failed(9)[:8], samples(1)[0]])) == 0


def test_only_failures_in_the_state_it_is_in_now_count() -> None:
    assert failures(history(failed(5), lasted=2.5 * PROBE_EVERY)) == 3
    assert troubled(history(failed(5), state="degraded")) == ""


def test_failures_before_the_machine_slept_do_not_count() -> None:
    assert failures(replace(history(failed(5)), trusted=NOW - 1.5 * PROBE_EVERY)) == 2


def test_while_the_house_had_stood_still_nothing_that_runs_is_judged() -> None:
    why = "Not judged for the next 9 s."
    for state in ("ready", "degraded", "starting"):
        assert judge(history(failed(9), state=state), NOW, why) == Verdict(Level.UNKNOWN, (why,))
    assert judge(history(state="failed"), NOW, why).level is Level.SICK
    assert judge(history(state="stopped"), NOW, why).level is Level.STOPPED


@pytest.mark.parametrize(
    ("clock", "wall", "slept"),
    [
        (1.0, 1.0, ""),
        (5.9, 5.9, ""),
        (6.1, 1.0, "5 s"),
        (1.0, 3601.0, "60 min"),
        (1.0, -3600.0, ""),
        (1.0, 36001.0, "10 h"),
    ],
)
def test_a_gap_of_more_than_five_seconds_on_either_clock_is_a_sleep(clock: float, wall: float, slept: str) -> None:
    why = stood_still(clock, wall, 1.0)
    assert bool(why) == bool(slept)
    assert slept in why


# -- speed


def test_answers_that_take_much_longer_than_usual_are_noticed() -> None:
    of = samples(20, ping_ms=lambda way: 100.0 if way < 0.85 else 4200.0)
    assert "Answers take 4.2 s, usually 0.1 s." in only(judge(history(of), NOW), Level.WATCH)


def test_answers_that_always_took_that_long_are_only_noticed_when_they_are_long() -> None:
    assert judge(history(samples(20, ping_ms=lambda way: 1200.0)), NOW).level is Level.HEALTHY
    assert "Answers take 4.0 s." in only(judge(history(samples(20, ping_ms=lambda way: 4000.0)), NOW), Level.WATCH)


@pytest.mark.parametrize("slow", [1, 2])
def test_a_slow_answer_now_and_then_is_nothing(slow: int) -> None:
    of = samples(20)
    for number in range(slow):
        of[-1 - 2 * number] = replace(of[-1 - 2 * number], ping_ms=4000.0)
    assert judge(history(of), NOW).level is (Level.HEALTHY if slow == 1 else Level.WATCH)


def test_answers_ten_times_slower_that_nobody_notices_are_nothing() -> None:
    of = samples(20, ping_ms=lambda way: 2.0 if way < 0.8 else 40.0)
    assert judge(history(of), NOW).level is Level.HEALTHY


# -- memory


def test_memory_that_grows_and_grows_is_told_with_numbers() -> None:
    of = samples(81, rss=lambda way: int((80 + 820 * way) * MB))
    reason = only(judge(history(of), NOW), Level.WATCH)
    assert re.search(r"Memory grew from 9\d to 8\d\d MB in 20 min and still grows", reason)
    assert "restart_server" in reason


@pytest.mark.parametrize(
    ("rss", "why"),
    [
        (lambda way: 80 if way < 0.2 else 900, "it grew once, and stays"),
        (lambda way: 80 + 100 * way, "not much"),
        (lambda way: 2000 + 400 * way, "not much for its size"),
        (lambda way: 900 - 800 * way, "it shrinks"),
        (lambda way: 80 + 820 * (way if int(way * 80) % 10 else 0), "one of ten samples is small"),
    ],
)
def test_memory_that_only_changes_is_nothing(rss: Callable[[float], float], why: str) -> None:
    of = samples(81, rss=lambda way: int(rss(way) * MB))
    expected = Level.WATCH if why.startswith("one of ten") else Level.HEALTHY
    assert judge(history(of), NOW).level is expected, why


def test_memory_is_not_compared_with_that_of_an_earlier_process() -> None:
    before = [replace(sample, rss=200 * MB, at=sample.at - 3000) for sample in samples(4)]
    after = samples(40, rss=lambda way: int((300 + 180 * way) * MB))
    assert judge(history([*before, *after]), NOW).level is Level.HEALTHY


def test_memory_that_a_start_takes_is_nothing() -> None:
    of = samples(41, uptime=lambda way: 600 * way, rss=lambda way: int((150 + 170 * way if way > 0.1 else 20) * MB))
    assert judge(history(of), NOW).level is Level.HEALTHY


# -- processor, descriptors, children


def test_a_core_used_for_five_minutes_is_noticed_and_a_busy_minute_is_not() -> None:
    assert "used 98 % of a core for 5 min" in only(judge(history(samples(30, cpu=lambda way: 98.0)), NOW), Level.WATCH)
    assert judge(history(samples(30, cpu=lambda way: 98.0 if way > 0.8 else 1.0)), NOW).level is Level.HEALTHY
    assert judge(history(samples(10, cpu=lambda way: 98.0)), NOW).level is Level.HEALTHY
    assert judge(history(samples(30, cpu=lambda way: None)), NOW).level is Level.HEALTHY


@pytest.mark.parametrize(
    ("fds", "limit", "level"),
    [
        (97, 1024, Level.HEALTHY),
        (819, 1024, Level.HEALTHY),
        (820, 1024, Level.WATCH),
        (973, 1024, Level.SICK),
        (9000, None, Level.HEALTHY),
        (None, None, Level.HEALTHY),
    ],
)
def test_descriptors_are_judged_by_their_limit(fds: int | None, limit: int | None, level: Level) -> None:
    verdict = judge(history(samples(3, fds=lambda way: fds, fd_limit=lambda way: limit)), NOW)
    assert verdict.level is level
    assert all(f"{fds} of 1,024 descriptors" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("first", "last", "level"),
    [(2, 120, Level.WATCH), (0, 25, Level.WATCH), (40, 120, Level.HEALTHY), (1, 19, Level.HEALTHY)],
)
def test_ever_more_processes_are_noticed(first: int, last: int, level: Level) -> None:
    of = samples(40, children=lambda way: first if way < 0.5 else last)
    verdict = judge(history(of), NOW)
    assert verdict.level is level
    assert all(f"It has {last} processes below it, before {first}." in reason for reason in verdict.reasons)


# -- restarts


def ends(*ago: float, before: str = "ready", after: str = "backoff") -> list[Change]:
    return [Change(NOW - one, before, after, "it was killed by SIGSEGV") for one in ago]


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        (ends(300), Level.HEALTHY),
        (ends(300, 10), Level.WATCH),
        (ends(590, 300, 100, 10), Level.SICK),
        (ends(5000, 900, 610, 10), Level.HEALTHY),
        (ends(300, 10, before="starting"), Level.WATCH),
        (ends(300, 10, after="stopped"), Level.WATCH),
        (ends(300, 10, before="stopping", after="stopped"), Level.HEALTHY),
        (ends(300, 10, before="backoff", after="starting"), Level.HEALTHY),
    ],
)
def test_ends_that_nobody_asked_for_are_counted(changes: list[Change], level: Level) -> None:
    verdict = judge(history(samples(3), changes=changes), NOW)
    assert verdict.level is level
    for reason in verdict.reasons:
        assert f"ended by itself {len(changes)} times in 10 min; the last time it was killed by SIGSEGV." in reason


def test_a_stopped_server_that_crashes_whenever_it_is_used_is_not_fine() -> None:
    verdict = judge(history(state="stopped", changes=ends(300, 10, after="stopped")), NOW)
    assert verdict.level is Level.WATCH
    assert len(verdict.reasons) == 2


# -- all of it


def test_the_worst_comes_first_and_nothing_is_left_out() -> None:
    of = [
        *samples(30, fds=lambda way: 1000, ping_ms=lambda way: 4000.0, children=lambda way: 1 + 60 * round(way))[:27],
        *failed(3),
    ]
    verdict = judge(history([replace(sample, fds=1000) for sample in of], changes=ends(300, 10)), NOW)
    assert verdict.level is Level.SICK
    assert [reason.split()[0] for reason in verdict.reasons] == ["3", "1,000", "Answers", "It"]


WHOLE_NUMBERS = st.none() | st.integers(0, 10**12)
NUMBERS = WHOLE_NUMBERS | st.floats(0, 1e12)
SAMPLES = st.builds(
    Sample,
    *(st.just("a"), st.just("default"), st.floats(NOW - 3600, NOW + 60), st.sampled_from([*State, "odd"])),
    error=st.sampled_from(["", "", "it did not answer"]),
    **dict.fromkeys(("ping_ms", "cpu", "uptime"), NUMBERS),
    **dict.fromkeys(("rss", "fds", "fd_limit", "children"), WHOLE_NUMBERS),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(SAMPLES, max_size=30), st.sampled_from([*State]), st.floats(-1e6, 1e6))
def test_whatever_was_measured_there_is_a_verdict_in_sentences(of: list[Sample], state: State, lasted: float) -> None:
    verdict = judge(history(of, state=state.value, lasted=lasted), NOW)
    assert (verdict.level is Level.HEALTHY) == (not verdict.reasons)
    assert all(reason[:1].isupper() or reason[:1].isdigit() for reason in verdict.reasons)
    assert all(reason.endswith(".") for reason in verdict.reasons)


def test_the_page_explains_every_rule_and_every_level() -> None:
    page = (Path(__file__).parents[2] / "docs/health.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("|")]
    assert [row for row in rows if row in RULES] == list(RULES)
    assert {row.strip("`") for row in rows} >= {level.value for level in Level}
