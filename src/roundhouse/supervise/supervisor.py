"""All servers of the house: started in parallel, asked for by name, stopped together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import anyio

from roundhouse.errors import NotFound
from roundhouse.model.servers import ServerSpec
from roundhouse.process.spawn import Children
from roundhouse.process.stop import ALL, AT_ONCE, ONE
from roundhouse.supervise.instance import Instance, Shared
from roundhouse.supervise.slots import StartSlots
from roundhouse.supervise.states import State
from roundhouse.wire.envelope import Members
from roundhouse.wire.eras import Profile
from roundhouse.wire.peer import Peer
from roundhouse.wire.stdio import Turn

FIRST_LIST_QUIET = (
    0.5  # seconds without another server becoming ready after which a first list is not held back further
)
FIRST_LIST_LIMIT = 3.0  # seconds it is held back at most: what a package runner with a warm cache needs, and some


class Supervisor:
    """The instances of one house, by name, in the order of the configuration.

    Args:
        profile: the capabilities of the client they serve.
        changed: called when an instance's state or tools are different.
        received: called with a request or notification that a server sent of its own accord.
    """

    def __init__(
        self,
        specs: Iterable[ServerSpec],
        profile: Profile,
        *,
        children: Children,
        turn: Turn,
        changed: Callable[[Instance], None],
        received: Callable[[Instance, Peer, Members], None],
    ) -> None:
        self._changed_hook = changed
        self._changed = anyio.Event()
        self._graces = ONE
        self._filled = False
        shared = Shared(
            children=children,
            slots=StartSlots(),
            turn=turn,
            changed=self._note,
            received=received,
            graces=lambda: self._graces,
        )
        self._instances = {spec.name: Instance(spec, profile, shared) for spec in specs}

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._instances.values())

    def get(self, name: str) -> Instance:
        """The instance of this server. Raises: `NotFound`, with the closest name."""
        instance = self._instances.get(name)
        if instance is None:
            raise NotFound("server", name, list(self._instances), hint="list_servers shows all of them.")
        return instance

    async def run(self) -> None:
        """Own all instances until cancelled."""
        async with anyio.create_task_group() as tasks:
            for instance in self:
                tasks.start_soon(instance.run, name=f"server {instance.name}")

    async def filled(self) -> None:
        """Wait until a first list is worth giving: every start has settled, or those that have not keep us waiting.

        A client that ignores `list_changed` sees only its first list, so it is worth a moment; a server that hangs is
        not.
        """
        with anyio.move_on_after(FIRST_LIST_LIMIT):
            while not (self._filled or self._settled()):
                ready = self._ready()
                with anyio.move_on_after(FIRST_LIST_QUIET if ready else math.inf) as quiet:
                    while self._ready() == ready and not self._settled():
                        await self._changed.wait()
                if quiet.cancelled_caught:
                    break
        self._filled = True

    async def stop(self) -> None:
        """Stop all and wait until every process has gone. Bounded by the stop ladder, in its short form."""
        self._graces = ALL
        for instance in self:
            instance.stop()
        for instance in self:
            await instance.reached(State.STOPPED)

    def kill(self) -> None:
        """Skip the polite part of `stop`."""
        self._graces = AT_ONCE
        for instance in self:
            instance.kill()

    def _settled(self) -> bool:
        return all(instance.settled for instance in self)

    def _ready(self) -> int:
        return sum(instance.state is State.READY for instance in self)

    def _note(self, instance: Instance) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        self._changed_hook(instance)
