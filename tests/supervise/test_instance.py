"""One instance: when it is started and by whom, when it stops by itself, and what calls learn meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from roundhouse.errors import NotApproved, Refused
from roundhouse.model.servers import Start
from roundhouse.supervise.instance import HELD_DELAY, Instance
from roundhouse.supervise.states import Event, State
from tests.supervise.fake_life import MOMENT, Manners, Stage, on_stage

IDLE_STOP = 600.0  # seconds
FIVE_MINUTES = 300.0


def state(instance: Instance) -> State:
    """Its state now. A function, because a type checker believes that what it has seen stays so."""
    return instance.state


# -- started


@pytest.mark.parametrize("start", Start)
def test_the_first_call_starts_it_and_is_answered(start: Start) -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add(start=start)
        call = stage.call(instance)
        assert state(instance) is State.STARTING
        await anyio.sleep(1.0)
        assert call.succeeded
        assert state(instance) is State.READY

    on_stage(scene)


def test_a_call_to_a_disabled_server_starts_nothing() -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add(disabled=True)
        assert "disabled" in str(stage.call(instance).error)
        await anyio.sleep(1.0)
        assert stage.lives == []

    on_stage(scene)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_started_stopped_and_started_within_a_moment_it_runs(turns: int) -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add()
        await anyio.sleep(1.0)
        for action in (instance.start, instance.stop, instance.start):
            action()
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
        call = stage.call(instance)
        await anyio.sleep(1.0)
        assert state(instance) is State.READY
        assert call.succeeded

    on_stage(scene)


def test_a_call_while_it_stops_for_being_idle_is_held_for_its_next_process() -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add(idle_stop=IDLE_STOP)
        instance.start()
        stage.manners.leaving = 3.0
        await instance.reached(State.STOPPING)
        call = stage.call(instance)
        await anyio.sleep(2.0)
        assert not call.answered
        assert len(stage.lives) == 1
        await anyio.sleep(2.0)
        assert call.succeeded
        assert len(stage.lives) == 2

    on_stage(scene)


def test_a_call_waits_through_a_short_delay_and_not_through_a_long_one() -> None:
    async def scene(stage: Stage) -> None:
        stage.manners = Manners(greeting=None, dies=15.0)
        instance = stage.add(start=Start.ALWAYS)
        instance.start()
        for _ in range(8):  # by now it waits for half a minute at least
            await instance.reached(State.BACKOFF)
            await instance.reached(State.STARTING)
        await instance.reached(State.BACKOFF)
        assert "started again in" in str(stage.call(instance).error)
        stage.manners = Manners()
        while "started again in" in str(stage.call(instance).error):
            await anyio.sleep(HELD_DELAY / 2)
            call = stage.call(instance)
            if not call.answered:
                break
        await instance.reached(State.READY)
        await anyio.sleep(MOMENT * 2)
        assert call.succeeded

    on_stage(scene)


def test_calls_that_a_dead_process_has_not_read_are_answered_by_the_next() -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add()
        instance.start()
        await instance.reached(State.READY)
        stage.manners.call = None
        read = stage.call(instance)
        stage.manners.reads = False
        unread = stage.call(instance)
        stage.manners = Manners(remains=1.0)
        stage.life().exit(-9)
        late = stage.call(instance)
        await anyio.sleep(2.0)
        assert read.error.facts["sent"] == "unknown"
        assert unread.succeeded
        assert late.succeeded

    on_stage(scene)


# -- given up, or not allowed


def test_after_a_refusal_another_failure_is_told_as_what_it_is() -> None:
    async def scene(stage: Stage) -> None:
        stage.manners.barred = NotApproved("a", "pending")
        instance = stage.add()
        first = stage.call(instance)
        await instance.reached(State.FAILED)
        assert first.error.code == NotApproved.code
        stage.manners = Manners(dies=0.005)
        second = stage.call(instance)  # a person may have said yes meanwhile
        await anyio.sleep(60.0)
        assert state(instance) is State.FAILED
        assert "exited with code 7" in str(second.error)
        assert "exited with code 7" in str(stage.call(instance).error)

    on_stage(scene)


def test_what_cannot_be_started_as_it_is_configured_is_not_tried_again_by_a_call() -> None:
    async def scene(stage: Stage) -> None:
        stage.manners.barred = Refused("'no-such-program' was not found.")
        instance = stage.add()
        call = stage.call(instance)
        await instance.reached(State.FAILED)
        assert "no-such-program" in str(call.error)
        stage.manners = Manners()
        await anyio.sleep(2 * FIVE_MINUTES)
        assert stage.call(instance).answered
        assert stage.lives == []
        instance.start()
        await instance.reached(State.READY)

    on_stage(scene)


def test_a_search_for_its_tools_tries_once_what_was_given_up() -> None:
    async def scene(stage: Stage) -> None:
        stage.manners.dies = 0.005
        instance = stage.add()
        instance.start()
        await instance.reached(State.FAILED)
        assert not instance.due
        await anyio.sleep(FIVE_MINUTES)
        assert instance.due
        instance.learn()
        await anyio.sleep(60.0)
        assert state(instance) is State.FAILED
        assert len(stage.lives) == 6 + 1

    on_stage(scene)


# -- left alone


def test_an_on_demand_server_stops_once_nobody_has_called_it_for_long() -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add(idle_stop=IDLE_STOP)
        for _ in range(3):
            call = stage.call(instance)
            await anyio.sleep(IDLE_STOP - 10)
            assert call.succeeded
            assert state(instance) is State.READY
        await anyio.sleep(10 + 1)
        assert state(instance) is State.STOPPED
        assert "nobody has called it" in instance.reason
        assert len(stage.lives) == 1

    on_stage(scene)


def test_it_does_not_stop_under_a_call_nor_while_a_client_relies_on_what_it_remembers() -> None:
    async def scene(stage: Stage) -> None:
        stage.manners.call = 3 * IDLE_STOP
        instance = stage.add(idle_stop=IDLE_STOP, call_timeout=6 * IDLE_STOP)
        call = stage.call(instance)
        await anyio.sleep(3 * IDLE_STOP + 1)
        assert call.succeeded
        stage.in_use = True
        await anyio.sleep(3 * IDLE_STOP)
        assert state(instance) is State.READY
        stage.in_use = False
        await anyio.sleep(2.0)
        assert state(instance) is State.STOPPED

    on_stage(scene)


@pytest.mark.parametrize("spec", [{"start": Start.ALWAYS, "idle_stop": 60.0}, {"idle_stop": 0.0}], ids=str)
def test_one_that_always_runs_or_never_stops_stays(spec: dict[str, Any]) -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add(**spec)
        instance.start()
        await anyio.sleep(24 * 3600.0)
        assert state(instance) is State.READY

    on_stage(scene)


def test_whether_it_stops_is_what_its_configuration_says_then_and_not_when_it_started() -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add(idle_stop=IDLE_STOP)
        instance.start()
        await anyio.sleep(IDLE_STOP / 2)
        instance.spec = replace(instance.spec, start=Start.ALWAYS)
        await anyio.sleep(2 * IDLE_STOP)
        assert state(instance) is State.READY
        instance.spec = replace(instance.spec, start=Start.ON_DEMAND)
        await anyio.sleep(61.0)
        assert state(instance) is State.STOPPED
        instance.spec = replace(instance.spec, start=Start.ALWAYS)
        call = stage.call(instance)
        await anyio.sleep(1.0)
        assert call.succeeded

    on_stage(scene)


@pytest.mark.parametrize("how", ["failed", "ready"])
def test_a_restart_is_a_use(how: str) -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add(idle_stop=IDLE_STOP)
        if how == "failed":
            stage.manners.dies = 0.005
        else:
            stage.in_use = True
        instance.start()
        await anyio.sleep(2 * IDLE_STOP)
        stage.manners = Manners()
        stage.in_use = False
        instance.restart()
        await anyio.sleep(IDLE_STOP - 10)
        assert state(instance) is State.READY
        await anyio.sleep(10 + 1)
        assert state(instance) is State.STOPPED

    on_stage(scene)


def test_an_on_demand_server_that_ends_unused_stays_down_until_it_is_called() -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add()
        instance.start()
        await instance.reached(State.READY)
        stage.life().exit(0)
        await anyio.sleep(FIVE_MINUTES)
        assert state(instance) is State.STOPPED
        assert [move.event for move in stage.moves][-1] is Event.UNUSED
        assert instance.restarts == 0
        call = stage.call(instance)
        await anyio.sleep(1.0)
        assert call.succeeded

    on_stage(scene)


# -- started to learn what it offers


def test_one_that_only_has_to_say_what_it_offers_stops_as_soon_as_it_has() -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add()
        instance.learn()
        await instance.reached(State.READY)
        assert len(instance.listing.tools) == 1
        await anyio.sleep(MOMENT)
        assert state(instance) is State.STOPPING
        await anyio.sleep(1.0)
        assert state(instance) is State.STOPPED
        assert "started by the first call" in instance.reason

    on_stage(scene)


@pytest.mark.parametrize("need", ["call", "start"])
def test_one_that_is_needed_meanwhile_stays(need: str) -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add()
        instance.learn()
        await anyio.sleep(0.01)
        if need == "call":
            call = stage.call(instance)
        else:
            instance.start()
        await anyio.sleep(1.0)
        assert state(instance) is State.READY
        assert need == "start" or call.succeeded

    on_stage(scene)


def test_one_that_always_runs_stays_when_it_was_started_to_learn() -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add(start=Start.ALWAYS)
        instance.learn()
        await anyio.sleep(1.0)
        assert state(instance) is State.READY

    on_stage(scene)
