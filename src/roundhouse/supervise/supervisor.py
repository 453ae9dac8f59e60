"""All servers of the house: added, changed, asked for by name, removed, stopped together."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Collection, Iterator
from functools import partial

import anyio
from anyio.abc import TaskGroup

from roundhouse.errors import NotFound
from roundhouse.model.servers import ServerSpec
from roundhouse.process.spawn import Children
from roundhouse.process.stop import ALL, AT_ONCE, ONE
from roundhouse.supervise.instance import Instance, Shared
from roundhouse.supervise.launch import Prepared
from roundhouse.supervise.server import Server
from roundhouse.supervise.slots import StartSlots
from roundhouse.supervise.states import Event, State
from roundhouse.wire.envelope import Members
from roundhouse.wire.eras import Profile
from roundhouse.wire.peer import Peer
from roundhouse.wire.stdio import Turn

logger = logging.getLogger(__name__)

FIRST_LIST_QUIET = (
    0.5  # seconds without another server becoming ready after which a first list is not held back further
)
FIRST_LIST_LIMIT = 3.0  # seconds it is held back at most: what a package runner with a warm cache needs, and some


class Supervisor:
    """The servers of one house, by name, in the order in which they were added.

    Args:
        tasks: where instances are owned; ends with the house.
        prepare: what exactly to run for a specification. Raises what forbids it.
        moved: called with every change of an instance's state.
        changed: called when what can be said of a server, or what it offers, is different.
        received: called with a request or notification that a server sent of its own accord.
        redact: takes secrets out of what a server says.
        log: where the lines go that a server of this name writes to stderr.
        in_use: whether a client is connected that relies on what this instance remembers.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        *,
        children: Children,
        turn: Turn,
        prepare: Callable[[ServerSpec], Awaitable[Prepared]],
        moved: Callable[[Instance, State, Event], None],
        changed: Callable[[Server], None],
        received: Callable[[Instance, Peer, Members], None],
        redact: Callable[[bytes], bytes],
        log: Callable[[str], Callable[[bytes], None]],
        in_use: Callable[[Instance], bool],
    ) -> None:
        self._tasks = tasks
        self._changed_hook = changed
        self._in_use = in_use
        self._changed = anyio.Event()
        self._graces = ONE
        self._shared = Shared(
            children=children,
            slots=StartSlots(),
            turn=turn,
            prepare=prepare,
            moved=moved,
            changed=self._note,
            received=received,
            redact=redact,
            log=log,
            graces=lambda: self._graces,
        )
        self._servers: dict[str, Server] = {}
        self._owners: dict[Instance, anyio.CancelScope] = {}

    def __iter__(self) -> Iterator[Server]:
        return iter(list(self._servers.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._servers

    def get(self, name: str) -> Server:
        """The server of this name. Raises: `NotFound`, with the closest name."""
        server = self._servers.get(name)
        if server is None:
            raise NotFound("server", name, list(self._servers), hint="list_servers shows all of them.")
        return server

    def put(self, spec: ServerSpec, *, per_client: bool = False) -> Server:
        """Add a server, or change it: what runs of it and was started otherwise, is stopped."""
        server = self._servers.get(spec.name)
        if server is None:
            server = self._servers[spec.name] = Server(spec, self._make, self._changed_hook, per_client=per_client)
            return server
        if not server.spec.starts_like(spec):
            for instance in server:
                self._tasks.start_soon(self.retire, server, instance)
        server.update(spec)
        return server

    async def remove(self, name: str) -> None:
        """Stop a server and forget it. Returns when its processes have gone."""
        server = self.get(name)
        del self._servers[name]
        async with anyio.create_task_group() as tasks:
            for instance in server:
                tasks.start_soon(self.retire, server, instance)

    async def retire(self, server: Server, instance: Instance) -> None:
        """Stop an instance for good. Returns when its process has gone."""
        server.forget(instance)
        instance.stop()
        await instance.gone()
        if owner := self._owners.pop(instance, None):
            owner.cancel()

    async def filled(self, awaited: Collection[Instance]) -> None:
        """Wait until a first list is worth giving: every one of these has settled, or those that have not keep us
        waiting.

        A client that ignores `list_changed` sees only its first list, so it is worth a moment; a server that hangs is
        not.
        """
        with anyio.move_on_after(FIRST_LIST_LIMIT):
            while not _settled(awaited):
                ready = _ready(awaited)
                with anyio.move_on_after(FIRST_LIST_QUIET if ready else math.inf) as quiet:
                    while _ready(awaited) == ready and not _settled(awaited):
                        await self._changed.wait()
                if quiet.cancelled_caught:
                    break

    async def stop(self) -> None:
        """Stop all and wait until every process has gone. Bounded by the stop ladder, in its short form."""
        self._graces = ALL
        for instance in list(self._owners):
            instance.stop()
        for instance in list(self._owners):
            await instance.gone()

    def kill(self) -> None:
        """Skip the polite part of `stop`."""
        self._graces = AT_ONCE
        for instance in self._owners:
            instance.kill()

    def _make(self, server: Server, profile: Profile, key: str, client: str) -> Instance:
        instance = Instance(server.spec, profile, self._shared, key=key, client=client, in_use=self._in_use)
        self._owners[instance] = scope = anyio.CancelScope()
        self._tasks.start_soon(partial(_own, instance, scope), name=f"server {server.name}")
        return instance

    def _note(self, instance: Instance) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        if server := self._servers.get(instance.name):
            self._changed_hook(server)


async def _own(instance: Instance, scope: anyio.CancelScope) -> None:
    """Own an instance until its scope is cancelled. A fault of ours ends its life, and nobody else's."""
    with scope:
        while True:
            try:
                await instance.run()
            except Exception:
                logger.exception("%s: its owner failed in a way nobody foresaw", instance.name)
                instance.abandon()


def _settled(instances: Collection[Instance]) -> bool:
    return all(instance.settled for instance in instances)


def _ready(instances: Collection[Instance]) -> int:
    return sum(instance.state is State.READY for instance in instances)
