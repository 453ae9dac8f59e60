"""Whatever happens to an instance, in whatever order: a state machine that Hypothesis walks, on a real `Instance`.

A step acts and lets the loop turn a few times, or for a moment, so that the next comes in the middle of things. The
rules know what must be so after them, the invariants what must be so at any time, and the end what must come of it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import ClassVar, TypeVar

import anyio
import anyio.lowlevel
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from roundhouse.errors import NotApproved, Refused
from roundhouse.model.servers import Start
from roundhouse.supervise.instance import DEGRADED_LIMIT, Instance
from roundhouse.supervise.policy import LONGEST_DELAY, RETRY_FAILED
from roundhouse.supervise.states import Event, State
from tests.health.clock import Clock
from tests.supervise.fake_life import MOMENT, Call, Manners, Stage

T = TypeVar("T")

CALL_TIMEOUT, START_TIMEOUT, IDLE_STOP = 20.0, 30.0, 600.0  # seconds
ODD = 0.00037  # seconds; no sum of other times here, so that nothing happens at the moment at which we look
LEAVING = 4.5  # seconds that a process may take to leave, and all that it started
LONGEST = {  # seconds that a state lasts in which nobody can rest
    State.STOPPING: LEAVING,
    State.STARTING: LEAVING + START_TIMEOUT + 1.0,
    State.BACKOFF: LEAVING + LONGEST_DELAY,
}
ALIVE = (State.READY, State.DEGRADED)
AT_REST = (State.STOPPED, State.READY, State.FAILED)

ACTS = ["start", "stop", "restart", "learn", "call", "cancel", "exit", "trouble", "kill", "relist"]
MANNERS: list[tuple[str, object]] = [
    *(("barred", barred) for barred in (Refused("no such command"), NotApproved("a", "pending"))),
    *(("preparing", seconds) for seconds in (0.0, 0.5)),
    *(("greeting", seconds) for seconds in (0.02, 4.0, None)),
    *(("listing", seconds) for seconds in (0.01, 4.0, None)),
    *(("ping", seconds) for seconds in (0.001, 4.9, None)),
    *(("call", seconds) for seconds in (0.001, None)),
    *(("refuses", refuses) for refuses in (True, False)),
    *(("reads", reads) for reads in (True, False)),
    *(("dies", seconds) for seconds in (0.01, 1.0, 15.0)),
    *(("leaving", seconds) for seconds in (0.0, LEAVING)),
    *(("remains", seconds) for seconds in (0.0, 1.0)),
]

pauses = st.sampled_from([0, 1, 2, 3, MOMENT, 0.03])  # turns of the loop, or seconds


class AnyLife(RuleBasedStateMachine):
    """One instance, its clients, its processes, and time."""

    steps: ClassVar[int] = 0  # of all examples
    seen: ClassVar[Counter[tuple[State, Event]]] = Counter()  # edges of all examples

    def __init__(self) -> None:
        super().__init__()
        self.loop = Clock()
        self.stage = self.do(lambda: Stage(self._own))
        self.stage.moved = self._moved
        self.held_down = False  # somebody stopped it, and nobody has started it since
        self.calls: list[Call] = []
        self.instance = self.do(
            lambda: self.stage.add(call_timeout=CALL_TIMEOUT, start_timeout=START_TIMEOUT, idle_stop=IDLE_STOP)
        )

    def do(self, action: Callable[[], T], pause: float = MOMENT) -> T:
        """Act, and let the loop turn so often (an int), or for so long (a float)."""

        self.calm = isinstance(pause, float)

        async def step() -> T:
            result = action()
            if isinstance(pause, float):
                await anyio.sleep(pause + ODD)
            else:
                for _ in range(pause):
                    await anyio.lowlevel.checkpoint()
            return result

        return self.loop.run_until_complete(step())

    def _own(self, instance: Instance) -> None:
        self.owner = self.loop.create_task(instance.run())

    def _moved(self, instance: Instance, before: State) -> None:
        event = self.stage.moves[-1].event
        AnyLife.seen[before, event] += 1
        if event is Event.LISTED:
            assert instance.pid is not None
        if self.held_down:
            assert instance.state in (State.STOPPING, State.STOPPED), f"stopped on request, and yet {event}"

    @property
    def open_calls(self) -> list[Call]:
        return [call for call in self.calls if not call.answered and not call.cancelled]

    # -- what somebody asks for

    def start(self) -> None:
        self.held_down = False
        self.instance.start()
        assert self.instance.state in (State.STARTING, *ALIVE, State.STOPPING)

    def stop(self) -> None:
        self.held_down = True
        self.instance.stop()
        assert self.instance.state in (State.STOPPING, State.STOPPED)
        assert not self.open_calls  # whoever waited knows at once

    def restart(self) -> None:
        self.held_down = False
        self.instance.restart()
        assert self.instance.state in (State.STARTING, State.STOPPING)

    def learn(self) -> None:
        self.instance.learn()

    def call(self) -> None:
        before = self.instance.state
        call = self.stage.call(self.instance)
        self.calls.append(call)
        if self.held_down or before is State.DEGRADED:
            assert call.error.facts["sent"] == "no"
        elif before in (State.STARTING, State.READY, State.STOPPED):
            assert not call.answered

    def cancel(self) -> None:
        for call in self.open_calls[:1]:
            call.cancel()

    def exit(self) -> None:
        for life in self.stage.living():
            life.exit(1)

    def trouble(self) -> None:
        self.instance.trouble("it was found not to answer")

    def kill(self) -> None:
        self.instance.kill()

    def relist(self) -> None:
        self.instance.relist()

    @initialize(start=st.sampled_from(Start), manners=st.lists(st.sampled_from(MANNERS), max_size=3))
    def begin(self, start: Start, manners: list[tuple[str, object]]) -> None:
        self.it_is_configured(start)
        for manner in manners:
            setattr(self.stage.manners, *manner)

    @rule(what=st.sampled_from(["start", "start", "restart", "learn", "stop"]), pause=pauses)
    def somebody_asks(self, what: str, pause: float) -> None:
        self.do(getattr(self, what), pause)

    @rule(pause=pauses)
    def a_call_comes(self, pause: float) -> None:
        self.do(self.call, pause)

    @rule(what=st.sampled_from(["cancel", "exit", "trouble", "kill", "relist"]), pause=pauses)
    def something_happens(self, what: str, pause: float) -> None:
        self.do(getattr(self, what), pause)

    @rule(whats=st.sampled_from(list(product(["start", "stop", "restart", "call"], repeat=3))), pause=pauses)
    def people_disagree(self, whats: Sequence[str], pause: float) -> None:
        self.several_things_happen_at_once(whats, pause)

    @rule(whats=st.lists(st.sampled_from(ACTS), min_size=2, max_size=4), pause=pauses)
    def several_things_happen_at_once(self, whats: Sequence[str], pause: float) -> None:
        self.do(lambda: [getattr(self, what)() for what in whats], pause)

    @rule(start=st.sampled_from(Start))
    def it_is_configured(self, start: Start) -> None:
        self.instance.spec = replace(self.instance.spec, start=start)

    # -- how its processes behave

    @rule(manner=st.sampled_from(MANNERS), pause=pauses)
    def its_processes_have_manners(self, manner: tuple[str, object], pause: float) -> None:
        setattr(self.stage.manners, *manner)
        self.do(lambda: None, pause)

    @rule()
    def it_comes_up(self) -> None:
        self.stage.manners = Manners()
        self.do(self.start, 1.0)

    @rule(pause=pauses)
    def it_hangs(self, pause: float) -> None:
        self.stage.manners.ping = self.stage.manners.call = None
        self.do(self.trouble, pause)

    @rule()
    def it_is_given_up(self) -> None:
        self.stage.manners.dies = 0.01
        self.do(self.start, 31.0)
        self.stage.manners.dies = None

    @rule(method=st.sampled_from(["initialize", "tools/list", "ping", "tools/call"]), pause=pauses)
    def it_answers_what_it_left_open(self, method: str, pause: float) -> None:
        def answer() -> None:
            for life in self.stage.living():
                life.read_on()
                life.answer(method)

        self.do(answer, pause)

    # -- time

    @rule(seconds=st.sampled_from([0.05, 0.2, 1.0, 5.0]))
    def a_little_time_passes(self, seconds: float) -> None:
        self.do(lambda: None, seconds)

    @rule(
        seconds=st.sampled_from([15.0, START_TIMEOUT + 1, 61.0, RETRY_FAILED + 1, IDLE_STOP + 1]), in_use=st.booleans()
    )
    def much_time_passes(self, seconds: float, in_use: bool) -> None:
        self.stage.in_use = in_use
        self.do(lambda: None, seconds)

    # -- what is so at any time

    @invariant()
    def all_is_well(self) -> None:
        AnyLife.steps += 1
        self._its_owner_lives()
        self._no_call_is_answered_twice_or_after_it_was_refused()
        self._an_open_call_is_held_or_in_flight()
        self._what_is_ready_has_a_process_and_what_rests_has_none()
        self._only_rest_lasts()

    def _its_owner_lives(self) -> None:
        if self.owner.done():
            self.owner.result()
            raise AssertionError("it is owned until the house leaves")

    def _no_call_is_answered_twice_or_after_it_was_refused(self) -> None:
        for call in self.calls:
            assert len(call.answers) <= 1
            carried_out = self.stage.carried_out[call.name]
            assert carried_out <= 1
            if call.succeeded:
                assert carried_out == 1
            elif call.answered and call.error.facts.get("sent", "no") == "no":
                assert not carried_out

    def _an_open_call_is_held_or_in_flight(self) -> None:
        for call in self.open_calls:
            assert self.loop.time() <= call.deadline + MOMENT
            assert not self.held_down
            assert self.instance.state in (State.STARTING, State.BACKOFF, State.STOPPING, *ALIVE)
            assert self.instance.busy
        assert bool(self.open_calls) == self.instance.busy

    def _what_is_ready_has_a_process_and_what_rests_has_none(self) -> None:
        living = self.stage.living()
        assert len(living) <= 1
        assert (self.instance.pid is not None) == bool(living)
        if self.instance.state in ALIVE:
            assert living
        elif self.instance.state is not State.STARTING and (self.calm or self.instance.state is not State.STOPPING):
            assert all(life.closing for life in living)  # its last one is being cleaned up
        if self.held_down:
            assert self.instance.state in (State.STOPPING, State.STOPPED)

    def _only_rest_lasts(self) -> None:
        lasted = self.loop.time() - self.instance.since
        assert lasted <= LONGEST.get(self.instance.state, math.inf) + MOMENT

    # -- what must come of it

    def teardown(self) -> None:
        try:
            self._left_alone_it_comes_to_rest()
            self._stopped_it_has_gone()
            self._started_it_works()
            self._unused_it_stops_and_the_next_call_starts_it()
            self._stopped_it_has_gone()
        finally:
            self.do(self.owner.cancel)
            self.loop.close()

    def _left_alone_it_comes_to_rest(self) -> None:
        self.stage.manners, self.stage.in_use = Manners(), False
        for life in self.stage.living():
            self.do(life.read_on)
        self.do(lambda: None, START_TIMEOUT + CALL_TIMEOUT + 2 * DEGRADED_LIMIT + 1.0)
        assert not self.open_calls
        assert self.instance.state in AT_REST
        assert self.instance.settled

    def _stopped_it_has_gone(self) -> None:
        self.do(self.stop, 5.0)
        assert self.instance.state is State.STOPPED
        assert not self.stage.living()
        lives = len(self.stage.lives)
        self.do(self.learn)
        self.do(self.call)
        self.do(lambda: None, RETRY_FAILED + IDLE_STOP)
        assert len(self.stage.lives) == lives

    def _started_it_works(self) -> None:
        self.do(self.start, 1.0)
        assert self.instance.state is State.READY
        self.do(self.call, 1.0)
        assert self.calls[-1].succeeded

    def _unused_it_stops_and_the_next_call_starts_it(self) -> None:
        self.do(lambda: None, IDLE_STOP - 10)
        assert self.instance.state is State.READY
        self.do(lambda: None, 75.0)
        on_demand = self.instance.spec.start is Start.ON_DEMAND
        assert self.instance.state is (State.STOPPED if on_demand else State.READY)
        self.do(self.call, 1.0)
        assert self.calls[-1].succeeded
