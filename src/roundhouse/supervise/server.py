"""One server of the house and its instances: which client is served by which process.

Clients share an instance while they can do the same. A server that asked its client for something while several were
calling cannot know whose answer it would get, so from then on each client has an instance of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import anyio

from roundhouse.model.servers import ServerSpec, Sharing
from roundhouse.supervise.instance import Instance
from roundhouse.supervise.states import State
from roundhouse.wire.eras import Profile

# From best to worst: what is said of a server is said of the instance that comes first.
_ORDER = (
    State.READY,
    State.DEGRADED,
    State.STARTING,
    State.BACKOFF,
    State.FAILED,
    State.STOPPING,
    State.STOPPED,
)


class Server:
    """A server, whether anything of it runs or not.

    Args:
        make: makes an instance for a profile, and for one client where that is named, and starts to own it.
        changed: called when it was stopped or is wanted again.
        per_client: it was seen asking one of several clients.
    """

    def __init__(
        self,
        spec: ServerSpec,
        make: Callable[[Server, Profile, str, str], Instance],
        changed: Callable[[Server], None],
        *,
        per_client: bool,
    ) -> None:
        self.spec = spec
        self.stopped = False  # somebody stopped it: only somebody starts it again
        self.per_client = per_client
        self._make = make
        self._changed = changed
        self._instances: dict[str, Instance] = {}

    def __iter__(self) -> Iterator[Instance]:
        return iter(list(self._instances.values()))

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def shared(self) -> bool:
        """Whether clients that can do the same share an instance."""
        match self.spec.instances:
            case Sharing.PER_CLIENT:
                return False
            case Sharing.SHARED:
                return True
            case _:
                return not self.per_client

    def instance(self, profile: Profile, client: str) -> Instance:
        """The instance that serves this client, made where there is none."""
        owner = "" if self.shared else client
        key = f"{profile.key}/{owner}" if owner else profile.key
        found = self._instances.get(key)
        if found is None:
            found = self._instances[key] = self._make(self, profile, key, owner)
            if self.stopped:
                found.stop()
        return found

    def existing(self, profile: Profile, client: str) -> Instance | None:
        """The same, None where there is none."""
        return self._instances.get(profile.key if self.shared else f"{profile.key}/{client}")

    def start(self, instance: Instance) -> Instance:
        """Want it running, this instance first. Returns it; it is not up yet."""
        instance.start()
        self._release()
        return instance

    def restart(self, wanted: Instance) -> Instance:
        """End whatever runs of it and start that anew, and this instance in any case."""
        for instance in self:
            if instance is wanted or instance.pid is not None:
                instance.restart()
        self._release()
        return wanted

    async def stop(self) -> None:
        """Stop whatever runs of it, until somebody starts it. Returns when its processes have gone."""
        self.stopped = True
        for instance in self:
            instance.stop()
        self._changed(self)
        async with anyio.create_task_group() as tasks:  # side by side: one that is started again is not waited for
            for instance in self:
                tasks.start_soon(instance.gone)

    def best(self) -> Instance | None:
        """The instance that speaks for the server: the one that works best."""
        return min(self, key=lambda instance: _ORDER.index(instance.state), default=None)

    def forget(self, instance: Instance) -> None:
        """This instance is not used any more."""
        if self._instances.get(instance.key) is instance:
            del self._instances[instance.key]

    def update(self, spec: ServerSpec) -> None:
        """Take over a specification that starts the same process."""
        self.spec = spec
        for instance in self:
            instance.spec = spec

    def _release(self) -> None:
        """It is not stopped any more, and neither are the instances of other clients."""
        self.stopped = False
        for instance in self:
            instance.release()
        self._changed(self)
