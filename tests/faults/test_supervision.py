"""Supervision (FAULTS.md, C): whatever happens to a server in whatever order, it ends where it should, and on time.

Time is played and so are processes, but for the last test, which starts real ones.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator
from itertools import pairwise

import anyio
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from roundhouse.health.watch import PROBE_EVERY, Watch
from roundhouse.model.servers import ServerSpec, Start
from roundhouse.process.spawn import Children
from roundhouse.process.table import descendants
from roundhouse.supervise.instance import DEGRADED_LIMIT, PROBE_TIMEOUT, Instance
from roundhouse.supervise.launch import Prepared, prepare
from roundhouse.supervise.states import TRANSITIONS, State
from roundhouse.supervise.supervisor import Supervisor
from roundhouse.wire.eras import PLAIN
from roundhouse.wire.stdio import Turn
from tests.house import raw
from tests.supervise.any_life import AnyLife
from tests.supervise.fake_life import MOMENT, Call, Manners, Stage, on_stage

HANDSHAKE = 0.05  # seconds; more than what a played process takes to come up
FIRST = 0.1  # seconds, at most, until the first restart
FIVE_MINUTES = 300.0  # until one more attempt is made for what was given up
PROBE_PERIODS = 3  # within which who hangs is seen


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Every end is logged, and here are thousands of them."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


async def up(stage: Stage, *instances: Instance) -> None:
    """Start these, and wait until all are ready."""
    for instance in instances:
        instance.start()
    for instance in instances:
        await instance.reached(State.READY)
    await anyio.sleep(MOMENT)


# -- 22


def test_22_ten_thousand_random_steps_lead_to_no_illegal_state() -> None:
    run_state_machine_as_test(
        AnyLife,
        settings=settings(
            max_examples=230,
            stateful_step_count=60,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # making a failure smaller takes minutes: do that by hand
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert AnyLife.steps >= 10_000
    assert set(AnyLife.seen) == set(TRANSITIONS)  # or the steps say nothing


# -- 23


@pytest.mark.parametrize("lived", [0.005, 0.5, 5.0], ids=lambda lived: f"after {lived} s")
def test_23_a_crash_loop_is_restarted_five_times_within_a_minute_and_then_given_up(lived: float) -> None:
    async def scene(stage: Stage) -> None:
        stage.manners.dies = lived
        instance = stage.add(start=Start.ALWAYS)
        instance.start()
        await instance.reached(State.FAILED)
        assert anyio.current_time() < 60.0
        assert len(stage.lives) == 1 + 5
        assert instance.restarts == 5
        assert "it ended 6 times within 60 s" in instance.reason
        await anyio.sleep(FIVE_MINUTES - 1)
        assert len(stage.lives) == 6
        await anyio.sleep(2)
        assert len(stage.lives) == 7

    on_stage(scene)


def test_23_an_on_demand_server_that_was_given_up_gets_one_attempt_by_a_call_every_five_minutes() -> None:
    async def scene(stage: Stage) -> None:
        stage.manners.dies = 0.005
        instance = stage.add()
        first = stage.call(instance)
        await instance.reached(State.FAILED)
        assert "exited with code 7" in str(first.error)
        assert len(stage.lives) == 6
        await anyio.sleep(FIVE_MINUTES - 60)
        assert stage.call(instance).error.retryable
        assert len(stage.lives) == 6
        await anyio.sleep(61)
        late = stage.call(instance)
        await anyio.sleep(61)
        assert "exited with code 7" in str(late.error)
        assert len(stage.lives) == 7
        assert "given up" in str(stage.call(instance).error)
        stage.manners = Manners()
        await anyio.sleep(FIVE_MINUTES)
        last = stage.call(instance)
        await anyio.sleep(HANDSHAKE)
        assert last.succeeded

    on_stage(scene)


# -- 24


def test_24_every_delay_is_within_its_formula_and_a_steady_life_begins_anew() -> None:
    """Processes that come to nothing so slowly that there is a twelfth end in a row, and never a sixth in a minute."""

    async def scene(stage: Stage) -> None:
        stage.manners = Manners(greeting=None, dies=25.0)
        instance = stage.add(start=Start.ALWAYS)
        instance.start()
        await instance.reached(State.BACKOFF)
        for count in range(1, 13):
            delay = await restarted(stage, instance)
            ceiling = min(60.0, 0.5 * 2 ** (count - 1))
            low, high = (0.0, FIRST) if count == 1 else (ceiling / 2, ceiling)
            assert low <= delay <= high + MOMENT
            if count == 12:
                stage.manners = Manners()
                stage.life().exit(7)
            await instance.reached(State.BACKOFF)
        await restarted(stage, instance)
        await instance.reached(State.READY)
        await anyio.sleep(60.0)
        stage.life().exit(7)
        await instance.reached(State.BACKOFF)
        assert await restarted(stage, instance) <= FIRST + MOMENT

    for _ in range(20):
        on_stage(scene)


async def restarted(stage: Stage, instance: Instance) -> float:
    """Wait for its next process. Returns how long that took."""
    begun = anyio.current_time()
    await instance.reached(State.STARTING)
    await anyio.sleep(MOMENT)
    return stage.life().began - begun


def test_24_twenty_servers_killed_together_do_not_come_back_within_the_same_tenth_of_a_second() -> None:
    """The first time because only as many start at a time as there are cores, then by chance as well."""

    async def few_cores(stage: Stage) -> None:
        stage.manners.greeting = HANDSHAKE
        back = await killed_together(stage, await twenty(stage))
        assert max(back) - min(back) > 0.1
        assert crowd(back) <= 2 * (1 + 0.1 / HANDSHAKE)

    async def many_cores(stage: Stage) -> None:
        instances = await twenty(stage)
        first, again = await killed_together(stage, instances), await killed_together(stage, instances)
        assert max(first) <= FIRST + MOMENT
        assert min(again) >= 0.5
        assert max(again) - min(again) > 0.1  # all of them in a fifth of the range: once in 10^12 times
        assert crowd(again) < 20

    for _ in range(5):
        on_stage(few_cores, slots=2)
        on_stage(many_cores)


async def twenty(stage: Stage) -> list[Instance]:
    instances = [stage.add(str(number), start=Start.ALWAYS) for number in range(20)]
    await up(stage, *instances)
    return instances


async def killed_together(stage: Stage, instances: list[Instance]) -> list[float]:
    """Kill them at the same moment. Returns after how many seconds each was started again; all are ready then."""
    now = anyio.current_time()
    for instance in instances:
        stage.life(instance.name).exit(-9)
    await anyio.sleep(MOMENT)
    for instance in instances:
        await instance.reached(State.READY)
    return [stage.life(instance.name).began - now for instance in instances]


def crowd(times: list[float]) -> int:
    """How many there are at most within a tenth of a second."""
    return max(sum(start <= at < start + 0.1 for at in times) for start in times)


# -- 25


@pytest.mark.parametrize("ping", [None, 4.9, 0.5, 0.001])
def test_25_a_degraded_server_is_asked_by_one_probe_at_a_time_and_its_calls_fail_at_once(ping: float | None) -> None:
    async def scene(stage: Stage) -> None:
        watch = watched(stage)
        async with anyio.create_task_group() as tasks:
            instance = stage.add(start=Start.ALWAYS)
            tasks.start_soon(watch.run, lambda: [instance])
            await up(stage, instance)
            life = stage.life()
            stage.manners.ping = ping
            instance.trouble("it was found not to answer")
            await instance.reached(State.DEGRADED)
            begun, asked = anyio.current_time(), len(life.asked)
            while instance.state is State.DEGRADED:
                assert stage.call(instance).error.facts["sent"] == "no"
                instance.trouble("again")
                await anyio.sleep(0.2)
            lasted = anyio.current_time() - begun
            if ping is None:
                assert DEGRADED_LIMIT <= lasted <= DEGRADED_LIMIT + 2 * PROBE_TIMEOUT
                await instance.reached(State.READY)
                assert stage.life() is not life
            else:
                assert lasted <= 2 * (1 + ping) + 0.5
                assert stage.life() is life
            probes = [at for at, method in life.asked[asked:] if at <= begun + lasted]
            assert {method for _, method in life.asked} <= {"initialize", "tools/list", "ping"}
            taken = PROBE_TIMEOUT if ping is None else ping
            assert len(probes) >= 2
            assert all(later - sooner >= taken for sooner, later in pairwise(probes))
            tasks.cancel_scope.cancel()

    on_stage(scene)


# -- 26


def watched(stage: Stage) -> Watch:
    """A watch on the stage's time."""

    async def look(pid: int) -> None:
        return None

    watch = Watch(lambda sample, verdict: None, look=look, wall=anyio.current_time)
    stage.moved = lambda instance, before: watch.moved(instance, before.value)
    return watch


@pytest.mark.parametrize("begins", [0.0, 1.3, 7.4, 7.6, 14.9, 22.0, 40.0, 44.9])
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "just after a call"])
def test_26_a_server_that_hangs_is_seen_within_three_probe_periods(begins: float, busy: bool) -> None:
    async def scene(stage: Stage) -> None:
        watch = watched(stage)
        async with anyio.create_task_group() as tasks:
            hangs, well = stage.add("hangs", start=Start.ALWAYS), stage.add("well", start=Start.ALWAYS)
            tasks.start_soon(watch.run, lambda: [hangs, well])
            await up(stage, hangs, well)
            await anyio.sleep(begins)
            if busy:
                call = stage.call(hangs)
                await anyio.sleep(MOMENT * 2)
                assert call.succeeded
            stage.life("hangs").silent = True
            begun = anyio.current_time()
            with anyio.fail_after(PROBE_PERIODS * PROBE_EVERY):
                await hangs.reached(State.DEGRADED)
            assert anyio.current_time() - begun > PROBE_TIMEOUT  # one probe without an answer is no verdict
            assert "3 probes in a row" in hangs.reason
            assert stage.call(hangs).error.facts["sent"] == "no"
            with anyio.fail_after(DEGRADED_LIMIT + 2 * PROBE_TIMEOUT):
                await hangs.reached(State.BACKOFF)
                await hangs.reached(State.READY)
            assert well.restarts == 0
            assert {move.after for move in stage.moves if move.name == "well"} == {State.STARTING, State.READY}
            tasks.cancel_scope.cancel()

    on_stage(scene)


def test_26_a_slow_start_is_not_killed_by_liveness() -> None:
    async def scene(stage: Stage) -> None:
        watch = watched(stage)
        async with anyio.create_task_group() as tasks:
            stage.manners.greeting = 200.0
            stage.manners.listing = 25.0
            instance = stage.add(start=Start.ALWAYS, start_timeout=300.0)
            tasks.start_soon(watch.run, lambda: [instance])
            instance.start()
            await instance.reached(State.READY)
            assert 225.0 <= anyio.current_time() < 226.0
            assert [method for _, method in stage.life().asked] == ["initialize", "tools/list"]
            await anyio.sleep(10 * PROBE_EVERY)
            assert len(stage.lives) == 1
            assert instance.state is State.READY
            tasks.cancel_scope.cancel()

    on_stage(scene)


# -- 27


PHASES = {
    "waiting for its turn": 0.5,
    "being prepared": 1.5,
    "in its handshake": 2.5,
    "listing its tools": 3.5,
}  # seconds after its start


@pytest.mark.parametrize("leaving", [0.01, 4.5])
@pytest.mark.parametrize("phase", PHASES)
def test_27_a_stop_while_it_starts_ends_stopped_and_answers_who_waited(phase: str, leaving: float) -> None:
    async def scene(stage: Stage) -> None:
        stage.manners = Manners(greeting=1.0, listing=1.0, preparing=1.0, leaving=leaving)
        stage.add("before").start()  # takes longer than one may keep others waiting, which is a second
        instance = stage.add()
        call = stage.call(instance)
        await anyio.sleep(PHASES[phase])
        assert instance.state is State.STARTING
        assert len(stage.living()) == (phase in ("in its handshake", "listing its tools"))
        instance.stop()
        assert call.error.facts["sent"] == "no"
        with anyio.fail_after(leaving + MOMENT):
            await instance.reached(State.STOPPED)
        assert stage.living() == []
        assert stage.carried_out[call.name] == 0
        await stays_stopped(stage, instance)

    on_stage(scene, slots=1)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_27_a_stop_while_it_waits_to_be_restarted_ends_stopped(count: int) -> None:
    async def scene(stage: Stage) -> None:
        instance = stage.add(start=Start.ALWAYS)
        await up(stage, instance)
        for _ in range(count):
            await instance.reached(State.READY)
            stage.life().exit(7)
            await instance.reached(State.BACKOFF)
        call = stage.call(instance)
        assert not call.answered
        instance.stop()
        assert call.error.facts["sent"] == "no"
        with anyio.fail_after(MOMENT):
            await instance.reached(State.STOPPED)
        assert stage.living() == []
        await stays_stopped(stage, instance)

    on_stage(scene)


async def stays_stopped(stage: Stage, instance: Instance) -> None:
    """Until somebody starts it, whatever else happens; then it works."""
    lives = sum(life.name == instance.name for life in stage.lives)
    await anyio.sleep(2 * FIVE_MINUTES)
    instance.learn()
    assert stage.call(instance).error.facts["state"] == "stopped"
    await anyio.sleep(1.0)
    assert instance.state is State.STOPPED
    assert sum(life.name == instance.name for life in stage.lives) == lives
    stage.manners = Manners()
    await up(stage, instance)


def test_27_a_thousand_starts_and_stops_leave_at_most_one_played_process() -> None:
    async def scene(stage: Stage) -> None:
        chance = random.Random(27)
        instance, calls = stage.add(), list[Call]()
        for _ in range(1_000):
            stage.manners.leaving = chance.choice([0.0, 0.01, 0.2])
            chance.choice([instance.start, instance.stop])()
            calls.append(stage.call(instance))
            await anyio.sleep(chance.choice([0.0, 0.0, 0.01, 0.05, 0.3]))
            assert len(stage.living()) <= 1
        assert len(stage.lives) > 50
        instance.stop()
        await instance.reached(State.STOPPED)
        assert stage.living() == []
        assert all(len(call.answers) == 1 for call in calls)
        assert sum(call.succeeded for call in calls) > 50

    on_stage(scene)


def test_27_a_thousand_starts_and_stops_leave_at_most_one_real_process() -> None:
    entry = raw()
    spec = ServerSpec("a", command=entry["command"], args=tuple(entry["args"]))
    chance = random.Random(27)
    there = {process.pid for process in descendants(os.getpid())}

    def processes() -> set[int]:
        return {process.pid for process in descendants(os.getpid())} - there

    async def prepared(spec: ServerSpec) -> Prepared:
        return prepare(spec, str)

    async def play() -> None:
        async with anyio.create_task_group() as tasks:
            supervisor = Supervisor(
                tasks,
                children=Children(),
                turn=Turn(),
                prepare=prepared,
                moved=lambda instance, before, event: None,
                changed=lambda server: None,
                received=lambda instance, peer, message: None,
                redact=bytes,
                log=lambda name: lambda line: None,
                in_use=lambda instance: False,
            )
            server = supervisor.put(spec)
            instance = server.instance(PLAIN, "")
            seen: set[int] = set()
            for number in range(1_000):
                if number % 50 == 0:
                    server.start(instance)
                    with anyio.fail_after(20):
                        await instance.reached(State.READY)
                if chance.random() < 0.5:
                    server.start(instance)
                else:
                    instance.stop()
                await anyio.sleep(chance.choice([0.0, 0.0, 0.0, 0.001, 0.005]))
                now = processes()
                assert len(now) <= 1
                seen |= now
            assert len(seen) > 20
            server.start(instance)
            with anyio.fail_after(20):
                await instance.reached(State.READY)
            assert processes() == {instance.pid}
            await supervisor.stop()
            assert processes() == set()
            tasks.cancel_scope.cancel()

    anyio.run(play)
