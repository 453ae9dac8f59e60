"""A server and its instances: who shares one, who speaks for it, and that stopped means stopped for everybody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from roundhouse.model.servers import ServerSpec, Sharing, Start
from roundhouse.supervise.instance import Instance
from roundhouse.supervise.server import Server
from roundhouse.supervise.states import State
from roundhouse.wire.eras import PLAIN, Profile
from tests.supervise.fake_life import Stage, on_stage

ABLE = Profile(PLAIN.version, b'{"roots":{}}')  # of a client that can do more


class Shop:
    """A server on a stage, and how often it said that it changed."""

    def __init__(self, stage: Stage, *, per_client: bool = False, **spec: Any) -> None:
        self.stage = stage
        self.changes = 0
        self.server = Server(ServerSpec("a", command="played", **spec), self._make, self._note, per_client=per_client)

    def instance(self, client: str, profile: Profile = PLAIN) -> Instance:
        return self.server.instance(profile, client)

    def _make(self, server: Server, profile: Profile, key: str, client: str) -> Instance:
        # a name of its own, because a stage allows one process a name
        return self.stage.instance(replace(server.spec, name=f"a {key}"), profile, key=key, client=client)

    def _note(self, server: Server) -> None:
        assert server is self.server
        self.changes += 1


def play(scene: Callable[[Shop], Awaitable[None]], *, per_client: bool = False, **spec: Any) -> None:
    """Play a scene with a server."""
    on_stage(lambda stage: scene(Shop(stage, per_client=per_client, **spec)))


# -- sharing


@pytest.mark.parametrize(
    ("sharing", "per_client", "shared"),
    [
        (Sharing.AUTO, False, True),
        (Sharing.AUTO, True, False),
        (Sharing.SHARED, False, True),
        (Sharing.SHARED, True, True),
        (Sharing.PER_CLIENT, False, False),
        (Sharing.PER_CLIENT, True, False),
    ],
)
def test_clients_that_can_do_the_same_share_an_instance_unless_it_was_said_or_seen_that_they_cannot(
    sharing: Sharing, per_client: bool, shared: bool
) -> None:
    async def scene(shop: Shop) -> None:
        one, other = shop.instance("one"), shop.instance("other")
        assert shop.server.shared is shared
        assert (one is other) is shared
        assert [one.client, other.client] == (["", ""] if shared else ["one", "other"])
        assert shop.instance("one") is one
        assert len({instance.key for instance in shop.server}) == len(list(shop.server)) == (1 if shared else 2)

    play(scene, per_client=per_client, instances=sharing)


@pytest.mark.parametrize("sharing", Sharing)
def test_clients_that_can_do_different_things_never_share_one(sharing: Sharing) -> None:
    async def scene(shop: Shop) -> None:
        plain, able = shop.instance("one"), shop.instance("two", ABLE)
        assert plain is not able
        assert (plain.profile, able.profile) == (PLAIN, ABLE)
        assert plain.key != able.key

    play(scene, instances=sharing)


def test_from_the_moment_it_is_seen_asking_one_of_several_each_client_has_an_instance_of_its_own() -> None:
    async def scene(shop: Shop) -> None:
        common = shop.instance("one")
        assert shop.instance("two") is common
        shop.server.per_client = True
        one, two = shop.instance("one"), shop.instance("two")
        assert len({common, one, two}) == 3
        assert (one.client, two.client) == ("one", "two")

    play(scene)


def test_asking_for_what_exists_makes_nothing() -> None:
    async def scene(shop: Shop) -> None:
        assert shop.server.existing(PLAIN, "one") is None
        assert list(shop.server) == []
        made = shop.instance("one")
        assert shop.server.existing(PLAIN, "one") is made
        assert shop.server.existing(PLAIN, "two") is (made if shop.server.shared else None)
        assert shop.server.existing(ABLE, "one") is None

    play(scene)
    play(scene, instances=Sharing.PER_CLIENT)


def test_a_forgotten_instance_is_followed_by_a_new_one_and_forgetting_it_again_does_no_harm() -> None:
    async def scene(shop: Shop) -> None:
        old = shop.instance("one")
        shop.server.forget(old)
        assert list(shop.server) == []
        new = shop.instance("one")
        assert new is not old
        shop.server.forget(old)
        assert list(shop.server) == [new]

    play(scene)


def test_a_new_specification_reaches_every_instance() -> None:
    async def scene(shop: Shop) -> None:
        instances = [shop.instance("one"), shop.instance("two", ABLE)]
        shop.server.update(replace(shop.server.spec, call_timeout=7.0))
        assert [instance.call_timeout for instance in instances] == [7.0, 7.0]
        assert shop.instance("three", Profile(PLAIN.version, b'{"sampling":{}}')).call_timeout == 7.0

    play(scene)


# -- started and stopped


async def up(*instances: Instance) -> None:
    for instance in instances:
        instance.start()
    for instance in instances:
        await instance.reached(State.READY)


def test_a_stop_ends_all_its_processes_and_returns_when_they_have_gone() -> None:
    async def scene(shop: Shop) -> None:
        one, two, idle = (shop.instance(client) for client in ("one", "two", "three"))
        await up(one, two)
        shop.stage.manners.leaving = 3.0
        begun = anyio.current_time()
        await shop.server.stop()
        assert anyio.current_time() - begun == pytest.approx(3.0, abs=0.1)  # side by side
        assert {instance.state for instance in (one, two, idle)} == {State.STOPPED}
        assert all(life.closed for life in shop.stage.lives)
        assert shop.server.stopped
        assert shop.changes == 1

    play(scene, instances=Sharing.PER_CLIENT)


def test_a_stop_returns_no_sooner_where_a_process_has_ended_by_itself_and_is_being_cleaned_up() -> None:
    async def scene(shop: Shop) -> None:
        instance = shop.instance("one")
        await up(instance)
        shop.stage.manners.leaving = 3.0
        shop.stage.living(instance.name)[0].lose("it closed its stdout")
        await instance.reached(State.STOPPED)
        assert instance.pid is not None
        await shop.server.stop()
        assert instance.pid is None
        assert all(life.closed for life in shop.stage.lives)

    play(scene)


def test_what_is_asked_of_a_stopped_server_later_stays_stopped_too() -> None:
    async def scene(shop: Shop) -> None:
        await shop.server.stop()
        late = shop.instance("late")
        late.learn()
        call = shop.stage.call(late)
        await anyio.sleep(1.0)
        assert late.state is State.STOPPED
        assert "start_server" in str(call.error)
        assert call.error.facts["sent"] == "no"
        assert shop.stage.lives == []

    play(scene)


def test_a_stop_does_not_wait_for_an_instance_that_was_started_again_meanwhile() -> None:
    async def scene(shop: Shop) -> None:
        slow, quick = shop.instance("slow"), shop.instance("quick")
        await up(slow, quick)
        shop.stage.manners.leaving = 3.0
        with anyio.fail_after(5.0):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(shop.server.stop)
                await anyio.sleep(0.1)
                quick.kill()
                await quick.reached(State.STOPPED)
                shop.server.start(quick)
                await quick.reached(State.READY)
        assert (slow.state, quick.state) == (State.STOPPED, State.READY)

    play(scene, instances=Sharing.PER_CLIENT)


@pytest.mark.parametrize("again", ["start", "restart"])
def test_a_server_that_is_started_again_is_started_for_every_client(again: str) -> None:
    """The one that was asked for at once, another client's by its next call."""

    async def scene(shop: Shop) -> None:
        mine, theirs = shop.instance("me"), shop.instance("them")
        await up(mine, theirs)
        await shop.server.stop()
        getattr(shop.server, again)(mine)
        assert not shop.server.stopped
        await mine.reached(State.READY)
        assert theirs.state is State.STOPPED
        call = shop.stage.call(theirs)
        await anyio.sleep(1.0)
        assert call.succeeded
        assert shop.changes == 2

    play(scene, instances=Sharing.PER_CLIENT)


@pytest.mark.parametrize("again", ["start", "restart"])
def test_one_that_always_runs_is_started_again_for_every_client_at_once(again: str) -> None:
    async def scene(shop: Shop) -> None:
        mine, theirs = shop.instance("me"), shop.instance("them")
        await up(mine, theirs)
        await shop.server.stop()
        getattr(shop.server, again)(mine)
        with anyio.fail_after(1.0):
            await mine.reached(State.READY)
            await theirs.reached(State.READY)

    play(scene, instances=Sharing.PER_CLIENT, start=Start.ALWAYS)


def test_a_start_of_what_was_not_stopped_starts_nothing_for_others() -> None:
    async def scene(shop: Shop) -> None:
        mine, theirs = shop.instance("me"), shop.instance("them")
        shop.server.start(mine)
        await anyio.sleep(1.0)
        assert (mine.state, theirs.state) == (State.READY, State.STOPPED)

    play(scene, instances=Sharing.PER_CLIENT)


def test_a_restart_exchanges_every_process_there_is_and_starts_the_one_that_was_asked_for() -> None:
    async def scene(shop: Shop) -> None:
        mine, runs, rests = (shop.instance(client) for client in ("mine", "runs", "rests"))
        await up(runs)
        before = runs.pid
        assert shop.server.restart(mine) is mine
        assert (mine.state, runs.state, rests.state) == (State.STARTING, State.STOPPING, State.STOPPED)
        await anyio.sleep(1.0)
        assert (mine.state, runs.state, rests.state) == (State.READY, State.READY, State.STOPPED)
        assert runs.pid != before

    play(scene, instances=Sharing.PER_CLIENT)


# -- who speaks for it


def test_the_instance_that_works_best_speaks_for_it() -> None:
    states = iter(FROM_WORST)

    def make(server: Server, profile: Profile, key: str, client: str) -> Instance:
        return cast(Instance, SimpleNamespace(key=key, state=next(states)))

    spec = ServerSpec("a", command="played", instances=Sharing.PER_CLIENT)
    server = Server(spec, make, lambda server: None, per_client=False)
    assert server.best() is None
    for number in range(len(FROM_WORST)):
        better = server.instance(PLAIN, str(number))
        assert server.best() is better


FROM_WORST = [
    State.STOPPED,
    State.STOPPING,
    State.FAILED,
    State.BACKOFF,
    State.STARTING,
    State.DEGRADED,
    State.READY,
]
