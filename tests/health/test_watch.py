"""The watch: who hangs is seen in time, nobody else is bothered, and a machine that slept blames nobody."""

from __future__ import annotations

import pytest
from anyio import current_time, sleep

from roundhouse.health.watch import KEPT, PROBE_EVERY, TICK
from roundhouse.model.health import Level
from tests.health.clock import FACTS, Fake, World, on_a_clock, until

SEEN_WITHIN = 3 * PROBE_EVERY  # seconds until one that hangs is in trouble


# -- probing


def test_what_runs_is_probed_once_a_period_and_every_sample_is_noted() -> None:
    async def scene(world: World) -> None:
        world.add()
        await sleep(20 * PROBE_EVERY)

    world = on_a_clock(scene)
    (instance,) = world.instances
    assert 19 <= len(instance.asked) <= 21
    gaps = [later - sooner for (sooner, _), (later, _) in zip(instance.asked, instance.asked[1:], strict=False)]
    assert all(PROBE_EVERY <= gap <= PROBE_EVERY + TICK for gap in gaps)
    sample, verdict = world.notes[-1]
    assert (sample.server, sample.instance, sample.state, sample.by, sample.error) == (
        "a",
        "default",
        "ready",
        "ping",
        "",
    )
    assert sample.ping_ms == pytest.approx(10.0)
    assert (sample.rss, sample.fds, sample.fd_limit, sample.children, sample.uptime) == (
        *(FACTS.rss, FACTS.fds, FACTS.fd_limit, FACTS.children, FACTS.uptime),
    )
    assert verdict.level is Level.HEALTHY
    assert world.watch.samples(instance) == tuple(world.samples())


@pytest.mark.parametrize("state", ["stopped", "starting", "backoff", "failed", "stopping"])
def test_what_does_not_run_is_left_alone(state: str) -> None:
    async def scene(world: World) -> None:
        world.add(state=state)
        world.add("b")
        await sleep(600)

    world = on_a_clock(scene)
    assert world.instances[0].asked == []
    assert world.samples("a") == []
    assert len(world.samples("b")) > 30


def test_a_slow_start_is_not_troubled_by_probes() -> None:
    async def scene(world: World) -> None:
        instance = world.add(state="starting")
        instance.answers = instance.never
        await sleep(300)
        assert instance.troubles == []
        instance.answers = instance.promptly
        instance.become("ready")
        await sleep(60)

    world = on_a_clock(scene)
    assert world.instances[0].troubles == []
    assert len(world.samples()) >= 3


def test_a_degraded_one_is_measured_but_asked_by_its_owner_alone() -> None:
    async def scene(world: World) -> None:
        world.add(state="degraded")
        await sleep(60)

    world = on_a_clock(scene)
    assert world.instances[0].asked == []
    assert {(sample.by, sample.error, sample.rss) for sample in world.samples()} == {("", "", FACTS.rss)}


def test_one_question_at_a_time_is_in_flight() -> None:
    async def scene(world: World) -> None:
        slow, hung = world.add("slow"), world.add("hung")
        slow.answers = slow.after(4.9)
        hung.answers = hung.never
        await sleep(600)

    world = on_a_clock(scene)
    assert [instance.most_in_flight for instance in world.instances] == [1, 1]


def test_an_instance_whose_processes_take_long_to_look_at_is_not_looked_at_twice() -> None:
    async def scene(world: World) -> None:
        world.look_takes = 100.0
        world.add()
        await sleep(600)

    world = on_a_clock(scene)
    assert world.most_looking == 1
    assert len(world.samples()) == 5


def test_one_that_answers_calls_is_not_asked_as_well() -> None:
    async def scene(world: World) -> None:
        busy = world.add()
        while current_time() < 300:
            busy.answered = current_time()
            await sleep(0.5)

    world = on_a_clock(scene)
    assert world.instances[0].asked == []
    assert {(sample.by, sample.error, sample.ping_ms) for sample in world.samples()} == {("calls", "", None)}
    assert 18 <= len(world.samples()) <= 24


@pytest.mark.parametrize("number", [-32601, -32600, 1])
def test_any_answer_is_a_sign_of_life(number: int) -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        instance.answers = instance.with_error(number)
        await sleep(300)

    world = on_a_clock(scene)
    assert {sample.error for sample in world.samples()} == {""}
    assert world.instances[0].troubles == []


def test_one_that_does_not_know_ping_is_asked_for_its_list_from_then_on() -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        instance.answers = instance.with_error(-32601)
        await sleep(60)
        instance.become("backoff")
        instance.become("starting")
        instance.become("ready")  # it may be another version
        await sleep(60)

    methods = [method for _, method in on_a_clock(scene).instances[0].asked]
    assert methods[:3] == ["ping", "tools/list", "tools/list"]
    assert methods.count("ping") == 2


def test_instances_that_came_together_are_not_probed_together() -> None:
    async def scene(world: World) -> None:
        for number in range(30):
            world.add(str(number))
        await sleep(PROBE_EVERY + TICK)

    times = [instance.asked[0][0] for instance in on_a_clock(scene).instances]
    assert max(times.count(time) for time in times) <= 4


def test_only_half_an_hour_of_samples_is_kept() -> None:
    async def scene(world: World) -> None:
        world.add()
        await sleep(3600)
        assert len(world.watch.samples(world.instances[0])) == KEPT

    assert len(on_a_clock(scene).samples()) > KEPT


def test_what_is_gone_is_forgotten() -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        await sleep(60)
        assert world.watch.samples(instance)
        world.instances.clear()
        await sleep(60)
        assert world.watch.samples(instance) == ()

    on_a_clock(scene)


def test_while_nothing_runs_nothing_happens_until_something_does() -> None:
    async def scene(world: World) -> None:
        instance = world.add(state="stopped")
        await sleep(3570)
        assert world.looks < 70
        instance.become("starting")
        instance.become("ready")
        await sleep(PROBE_EVERY + TICK)
        assert len(instance.asked) == 1

    on_a_clock(scene)


def test_a_fault_of_one_does_not_end_the_watch_over_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(world: World) -> None:
        odd = world.add("odd")

        async def explode(method: str) -> dict[str, bytes]:
            raise ZeroDivisionError

        odd.answers = explode
        world.add("b")
        await sleep(100)
        odd.answers = odd.promptly
        await sleep(100)

    world = on_a_clock(scene)
    assert len(world.samples("b")) >= 12
    assert len(world.samples("odd")) >= 5
    assert "odd could not be probed" in caplog.text


def test_one_that_ends_while_it_is_asked_leaves_no_sample_of_two_lives() -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        instance.answers = instance.never
        await until(lambda: instance.in_flight)
        instance.become("backoff")
        await sleep(60)

    assert on_a_clock(scene).samples() == []


def test_a_process_that_cannot_be_looked_at_is_a_sample_without_facts() -> None:
    async def scene(world: World) -> None:
        world.facts = None
        world.add()
        world.add("remote", pid=None)
        await sleep(60)

    world = on_a_clock(scene)
    assert {(sample.by, sample.rss, sample.cpu) for sample, _ in world.notes} == {("ping", None, None)}


# -- trouble


@pytest.mark.parametrize("into_the_period", [0.0, 0.1, 3.0, 7.4, 7.6, 12.0, 14.9])
@pytest.mark.parametrize("calls", [False, True])
def test_one_that_hangs_is_in_trouble_within_three_periods(into_the_period: float, calls: bool) -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        await until(lambda: world.notes)
        await sleep(into_the_period)
        if calls:
            instance.answered = current_time()
        instance.answers = instance.never
        hangs_since = current_time()
        await until(lambda: instance.troubles)
        (at, why) = instance.troubles[0]
        assert at - hangs_since <= SEEN_WITHIN
        assert why == "3 probes in a row got no answer"
        assert world.watch.verdict(instance).level is Level.SICK

    on_a_clock(scene)


def test_one_that_refuses_to_listen_is_in_trouble_too() -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        instance.answers = instance.refusing
        await sleep(SEEN_WITHIN)
        assert instance.troubles
        assert "does not read" in world.watch.verdict(instance).reasons[0]

    on_a_clock(scene)


def test_two_failures_and_an_answer_are_no_trouble() -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        for _ in range(10):
            instance.answers = instance.never
            await until(lambda: [bool(sample.error) for sample in world.samples()[-2:]] == [True, True])
            instance.answers = instance.promptly
            await until(lambda: not world.notes[-1][0].error)
        assert instance.troubles == []

    on_a_clock(scene)


def test_an_answer_to_a_call_clears_the_failures_before_it() -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        instance.answers = instance.never
        await until(lambda: len(world.notes) >= 2)
        await sleep(1.0)
        instance.answered = current_time()
        await until(lambda: len(world.notes) >= 5)
        assert [bool(sample.error) for sample in world.samples()] == [True, True, False, True, True]
        assert instance.troubles == []

    on_a_clock(scene)


def test_failures_before_a_recovery_do_not_count_after_it() -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        instance.answers = instance.never
        await until(lambda: instance.troubles)
        instance.become("degraded")
        await sleep(2)
        instance.become("ready")
        assert world.watch.verdict(instance).level is Level.HEALTHY
        instance.troubles.clear()
        failed = len(world.notes)
        await until(lambda: len(world.notes) >= failed + 2)
        assert instance.troubles == []
        await until(lambda: instance.troubles)
        assert len(world.notes) == failed + 3

    on_a_clock(scene)


# -- sleep


def test_a_machine_that_slept_blames_nobody_for_one_period() -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        instance.answers = instance.never
        await until(lambda: len(world.notes) >= 2)
        world.asleep += 3600
        await sleep(2 * TICK)
        verdict = world.watch.verdict(instance)
        assert verdict.level is Level.UNKNOWN
        assert "stood still for 60 min" in verdict.reasons[0]
        await sleep(PROBE_EVERY - 3 * TICK)
        assert len(world.notes) == 2
        assert instance.troubles == []
        woke = current_time()
        await until(lambda: instance.troubles)
        assert len(world.notes) == 5
        assert current_time() - woke <= SEEN_WITHIN

    on_a_clock(scene)


def test_a_stall_of_the_loop_is_not_the_servers_fault() -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        instance.answers = instance.after(1.0)
        for _ in range(20):
            await until(lambda: instance.in_flight)
            world.stall(30.0)  # its answer is there, and nobody has read it
            await sleep(1.0)
        assert instance.troubles == []
        assert all(not sample.error for sample in world.samples())

    on_a_clock(scene)


def test_failures_before_a_stall_do_not_count_after_it() -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        instance.answers = instance.never
        await until(lambda: len(world.notes) == 2)
        world.stall(30.0)
        await until(lambda: instance.troubles)
        assert len(world.notes) == 5

    on_a_clock(scene)


def test_a_short_stall_changes_nothing() -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        await until(lambda: world.notes)
        world.stall(4.0)
        await sleep(2 * TICK)
        assert world.watch.verdict(instance).level is Level.HEALTHY

    on_a_clock(scene)


def test_a_rest_is_no_sleep() -> None:
    async def scene(world: World) -> None:
        instance = world.add(state="stopped")
        await sleep(3600)
        instance.become("starting")
        instance.become("ready")
        await sleep(2 * TICK)
        assert world.watch.verdict(instance).level is Level.HEALTHY

    on_a_clock(scene)


def test_a_failed_server_stays_failed_while_others_are_not_judged() -> None:
    async def scene(world: World) -> None:
        world.add()
        failed = world.add("b", state="failed")
        await sleep(TICK)
        world.asleep += 60
        await sleep(2 * TICK)
        assert world.watch.verdict(failed).level is Level.SICK

    on_a_clock(scene)


# -- what is asked of it


def test_restarts_are_counted_from_what_it_is_told() -> None:
    async def scene(world: World) -> None:
        instance = world.add()
        for _ in range(4):
            instance.become("backoff", "it exited with code 1")
            instance.become("starting")
            instance.become("ready")
            await sleep(30)
        verdict = world.watch.verdict(instance)
        assert verdict.level is Level.SICK
        assert "ended by itself 4 times in 10 min; the last time it exited with code 1" in verdict.reasons[0]
        await sleep(600)
        assert world.watch.verdict(instance).level is Level.HEALTHY

    on_a_clock(scene)


def test_an_instance_it_never_saw_is_judged_by_its_state() -> None:
    async def scene(world: World) -> None:
        stranger = Fake(world, "z", "stopped")
        assert world.watch.verdict(stranger).level is Level.STOPPED
        assert world.watch.samples(stranger) == ()

    on_a_clock(scene)
