"""When to start again, after how long, and when to give up: decided without a clock, so tested without one."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from roundhouse.model.servers import Start
from roundhouse.supervise.policy import (
    FIRST_DELAY,
    LONGEST_DELAY,
    RESTART_WINDOW,
    RESTARTS_ALLOWED,
    RETRY_FAILED,
    GiveUp,
    Restart,
    after_end,
    steady,
    unused,
)
from roundhouse.supervise.states import Event, State, after

Draw = Callable[[float, float], float]


def lowest(low: float, high: float) -> float:
    return low


def highest(low: float, high: float) -> float:
    return high


def delay(streak: int, draw: Draw) -> float:
    """The delay after this many ends in a row, with none of them recent enough to give up."""
    decision = after_end([0.0], 0.0, streak=streak, last_chance=False, random=draw)
    assert isinstance(decision, Restart)
    return decision.delay


# -- how often


def test_a_server_that_ends_at_once_is_restarted_five_times_in_a_minute_and_then_given_up() -> None:
    now, ends, restarts = 1000.0, list[float](), 0
    while True:
        ends.append(now)
        decision = after_end(ends, now, streak=len(ends), last_chance=False, random=highest)
        if isinstance(decision, GiveUp):
            break
        restarts += 1
        now += decision.delay
    assert restarts == 5
    assert now - ends[0] < 60.0
    assert decision.because == "it ended 6 times within 60 s"
    assert decision.retry_after == RETRY_FAILED == 300.0


@pytest.mark.parametrize(("apart", "restarts_for_ever"), [(11.9, False), (12.0, False), (12.1, True), (60.1, True)])
def test_only_ends_of_the_last_minute_count(apart: float, restarts_for_ever: bool) -> None:
    ends = [index * apart for index in range(20)]
    decision = after_end(ends, ends[-1], streak=1, last_chance=False, random=highest)
    assert isinstance(decision, Restart) == restarts_for_ever


def test_an_old_crash_loop_is_forgotten() -> None:
    ends = [*(float(index) for index in range(20)), 500.0]
    assert isinstance(after_end(ends, 500.0, streak=1, last_chance=False, random=highest), Restart)


def test_the_one_attempt_after_giving_up_is_the_last_until_the_next_one() -> None:
    decision = after_end([0.0], 0.0, streak=1, last_chance=True, random=highest)
    assert decision == GiveUp("it failed again after it was given up", RETRY_FAILED)


# -- how long


def test_the_first_delay_is_at_most_a_tenth_of_a_second() -> None:
    assert delay(1, lowest) == 0.0
    assert delay(1, highest) == FIRST_DELAY == 0.1


@pytest.mark.parametrize(
    ("streak", "most"),
    [(2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 16.0), (7, 32.0), (8, 60.0), (9, 60.0), (10**9, 60.0)],
)
def test_later_delays_double_up_to_a_minute_and_are_drawn_from_their_upper_half(streak: int, most: float) -> None:
    assert delay(streak, highest) == most
    assert delay(streak, lowest) == most / 2


@settings(deadline=None)
@given(st.integers(1, 10**6), st.randoms(use_true_random=False))
def test_every_delay_is_within_its_formula(streak: int, chance: random.Random) -> None:
    found = delay(streak, chance.uniform)
    if streak == 1:
        assert 0 <= found <= 0.1
    else:
        ceiling = min(60.0, 0.5 * 2.0 ** min(streak - 1, 100))
        assert ceiling / 2 <= found <= ceiling


def test_twenty_servers_killed_together_do_not_come_back_together() -> None:
    chance = random.Random(20)
    first = sorted(delay(1, chance.uniform) for _ in range(20))
    again = sorted(delay(2, chance.uniform) for _ in range(20))
    assert first[-1] - first[0] > FIRST_DELAY / 2
    assert again[-1] - again[0] > 0.25
    assert all(sum(start <= at < start + 0.1 for at in again) < 20 for start in again)


@pytest.mark.parametrize(
    ("lived", "last_delay", "enough"),
    [
        (9.9, 0.1, False),
        (10.0, 0.1, True),
        (10.0, 10.0, True),
        (10.0, 32.0, False),
        (31.9, 32.0, False),
        (32.0, 32.0, True),
        (float("-inf"), 0.0, False),
    ],
)
def test_a_life_is_steady_after_ten_seconds_and_the_last_delay(lived: float, last_delay: float, enough: bool) -> None:
    assert steady(lived, last_delay) is enough


@pytest.mark.parametrize(
    ("start", "busy", "matters_to_nobody"),
    [
        (Start.ON_DEMAND, False, True),
        (Start.ON_DEMAND, True, False),
        (Start.ALWAYS, False, False),
        (Start.ALWAYS, True, False),
    ],
)
def test_only_the_end_of_an_on_demand_server_without_calls_matters_to_nobody(
    start: Start, busy: bool, matters_to_nobody: bool
) -> None:
    assert unused(start, busy) is matters_to_nobody


# -- states and policy together, on a clock of their own


class Fate(RuleBasedStateMachine):
    """Whatever happens to a server in whatever order: what `supervise.instance` does, without processes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.state = State.STOPPED
        self.ends: list[float] = []
        self.restarts: list[float] = []  # by itself, since somebody last started it
        self.streak = 0
        self.delay = 0.0
        self.wake_at = 0.0
        self.ready_at = float("inf")
        self.last_chance = False
        self.chance = random.Random(0)

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def move(self, event: Event) -> None:
        self.state = after(self.state, event)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.5, 5.0, 11.0, 61.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.state in (State.STOPPED, State.FAILED))
    @rule()
    def somebody_starts_it(self) -> None:
        self.ends, self.restarts, self.streak, self.last_chance = [], [], 0, False
        self.move(Event.START)
        assert self.state is State.STARTING

    @precondition(lambda self: self.state is State.STARTING)
    @rule()
    def it_answers(self) -> None:
        self.ready_at, self.last_chance = self.now, False
        self.move(Event.LISTED)
        assert self.state is State.READY

    @precondition(lambda self: self.state is State.STARTING)
    @rule()
    def it_is_refused(self) -> None:
        self.wake_at = float("inf")
        self.move(Event.REFUSED)
        assert self.state is State.FAILED

    @precondition(lambda self: self.state in (State.READY, State.DEGRADED))
    @rule(event=st.sampled_from([Event.TROUBLED, Event.RECOVERED]))
    def it_stumbles_or_recovers(self, event: Event) -> None:
        self.move(event)
        assert self.state is (State.DEGRADED if event is Event.TROUBLED else State.READY)

    @precondition(lambda self: self.state in (State.STARTING, State.READY, State.DEGRADED))
    @rule(start=st.sampled_from(Start), busy=st.booleans())
    def it_ends(self, start: Start, busy: bool) -> None:
        if self.state is not State.STARTING and unused(start, busy):
            self.move(Event.UNUSED)
            assert self.state is State.STOPPED
            return
        lived = self.now - self.ready_at if self.state is not State.STARTING else float("-inf")
        self.ends.append(self.now)
        self.streak = 1 if steady(lived, self.delay) else self.streak + 1
        decision = after_end(
            self.ends, self.now, streak=self.streak, last_chance=self.last_chance, random=self.chance.uniform
        )
        self.move(Event.ENDED)
        if isinstance(decision, Restart):
            assert 0 <= decision.delay <= LONGEST_DELAY
            self.delay, self.wake_at = decision.delay, self.now + decision.delay
            self.restarts.append(self.now)
            assert self.state is State.BACKOFF
        else:
            self.wake_at, self.last_chance = self.now + decision.retry_after, True
            self.move(Event.EXHAUSTED)
            assert self.state is State.FAILED

    @precondition(lambda self: self.state in (State.BACKOFF, State.FAILED) and self.wake_at < float("inf"))
    @rule()
    def its_delay_is_over(self) -> None:
        self.now = max(self.now, self.wake_at)
        self.move(Event.TIMER)
        assert self.state is State.STARTING

    @rule()
    def somebody_stops_it(self) -> None:
        self.move(Event.STOP)
        assert self.state in (State.STOPPING, State.STOPPED)

    @precondition(lambda self: self.state is State.STOPPING)
    @rule()
    def its_last_process_leaves(self) -> None:
        self.move(Event.GONE)
        assert self.state is State.STOPPED

    @invariant()
    def it_never_restarts_more_than_five_times_in_a_minute(self) -> None:
        for start in self.restarts:
            assert sum(start <= at <= start + RESTART_WINDOW for at in self.restarts) <= RESTARTS_ALLOWED

    @invariant()
    def it_never_waits_longer_than_it_may(self) -> None:
        if self.state is State.BACKOFF:
            assert self.wake_at - self.now <= LONGEST_DELAY


TestWhateverHappensItsFateIsLegal = Fate.TestCase
TestWhateverHappensItsFateIsLegal.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
