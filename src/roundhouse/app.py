"""The composition root: which rooms there are, who is handed to whom, and in which order all of it begins and ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from roundhouse.doors.stdio import StdioDoor
from roundhouse.doors.translate import as_error, as_tool_result
from roundhouse.errors import BadConfiguration, RoundhouseError
from roundhouse.gateway.catalogue import Part, build, part_of, replace
from roundhouse.gateway.connection import Connection
from roundhouse.gateway.interact import heard
from roundhouse.gateway.switch import CALL_TOOL, Switch
from roundhouse.model.servers import ServerSpec
from roundhouse.operations.dispatch import definitions, dispatch
from roundhouse.process.spawn import Children, depth
from roundhouse.process.stop import ALL, end_everybody
from roundhouse.settings import load_servers, resource
from roundhouse.supervise.instance import Instance
from roundhouse.supervise.supervisor import Supervisor
from roundhouse.wire.envelope import Members, Parts, Raws
from roundhouse.wire.eras import Profile
from roundhouse.wire.peer import Peer
from roundhouse.wire.stdio import Turn

logger = logging.getLogger(__name__)

RESERVED = frozenset({"roundhouse", "chain"})  # server names that would read as ours
DEEPEST = 2  # houses within houses; a server may well be a Roundhouse, but not without end
LAST_ANSWERS = 1.0  # seconds for calls in flight after the client's end-of-file, where it still reads
BAD_CONFIGURATION = 2  # exit code, as for a bad command line


class House:
    """One client's standalone house: its servers, its catalogue and its connection."""

    def __init__(self, specs: Iterable[ServerSpec], own: dict[str, bytes], turn: Turn, tasks: TaskGroup) -> None:
        self.leaving = anyio.Event()
        self.instructions = resource("prompts/instructions.md").split("---\n", 2)[2].strip()
        self.switch = Switch(server=self._server, names=lambda: self._specs, translate=as_error)
        self._specs = {spec.name: spec for spec in specs}
        self._own = own
        self._turn = turn
        self._tasks = tasks
        self._children = Children()
        self._supervisor: Supervisor | None = None
        self._connection: Connection | None = None
        for spec in self._specs.values():
            for problem in spec.problems:
                logger.error("%s", problem)
        self.switch.catalogue = build(own.values(), {name: Part() for name in self._specs})

    # -- what the client asks (gateway.connection.Host)

    def opened(self, connection: Connection, profile: Profile) -> None:
        """Start the servers, now that it is known what this client can do."""
        self._connection = connection
        self._supervisor = Supervisor(
            self._specs.values(),
            profile,
            children=self._children,
            turn=self._turn,
            changed=self._changed,
            received=self._heard,
        )
        self._tasks.start_soon(self._supervisor.run)

    async def filled(self) -> None:
        await self._open.filled()

    def roots_changed(self) -> None:
        for instance in self._open:
            instance.announce("notifications/roots/list_changed")

    def set_level(self, params: Members) -> None:
        for instance in self._open:
            instance.set_level(params)

    def is_ours(self, name: str) -> bool:
        return name in self._own and name != CALL_TOOL

    async def operate(self, name: str, arguments: Raws | None) -> Parts:
        try:
            return await dispatch(self._open, lambda: self.switch.catalogue, name, arguments)
        except RoundhouseError as error:
            return [as_tool_result(error)]

    # -- what the servers do

    def _changed(self, instance: Instance) -> None:
        old = self.switch.catalogue.parts[instance.name]
        part = part_of(instance.name, instance.listing.tools)
        if part != old:
            self.switch.catalogue = replace(self.switch.catalogue, instance.name, part)
        if part.entries != old.entries and self._connection:
            self._connection.tools_changed()

    def _heard(self, instance: Instance, peer: Peer, message: Members) -> None:
        heard(instance, peer, message, client=self._connection, switch=self.switch, translate=as_error)

    # -- leaving

    async def leave(self) -> None:
        """Stop every server. Returns when no process is left."""
        if self._supervisor:
            await self._supervisor.stop()
        await end_everybody(ALL.stragglers)

    def hurry(self) -> None:
        """Skip the polite part of leaving."""
        if self._supervisor:
            self._supervisor.kill()

    def _server(self, name: str) -> Instance:
        return self._open.get(name)

    @property
    def _open(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("asked before a client had opened")
        return self._supervisor


async def serve_standalone(config: Path, lifeline: int) -> int:
    """Serve one client on stdin and stdout until it leaves, a signal comes, or the reaper has gone.

    Returns: the exit code.
    """
    own = definitions()
    try:
        _refuse_endless_nesting(config)
        specs = load_servers(config, RESERVED | own.keys())
    except BadConfiguration as bad:
        print(f"roundhouse: {bad}", file=sys.stderr)
        return BAD_CONFIGURATION
    turn = Turn()
    async with anyio.create_task_group() as tasks:
        house = House(specs, own, turn, tasks)
        hung_up = anyio.Event()
        door = StdioDoor(turn, left=hung_up.set)
        connection = Connection(door.writer, host=house, switch=house.switch, translate=as_error, tasks=tasks)
        _on_signals(house, lifeline)
        door.listen(connection.receive)
        tasks.start_soon(_leave_after, hung_up, connection, house)
        await house.leaving.wait()
        connection.close()
        with anyio.CancelScope(shield=True):
            await house.leave()
        tasks.cancel_scope.cancel()
    return 0


def _refuse_endless_nesting(config: Path) -> None:
    if depth() > DEEPEST:
        raise BadConfiguration(
            f"This is a Roundhouse inside {depth()} others: {config} seems to name Roundhouse among its servers. "
            "Remove that entry."
        )


async def _leave_after(hung_up: anyio.Event, connection: Connection, house: House) -> None:
    """The client has closed a pipe: let the last answers out, if it still reads them, and leave."""
    await hung_up.wait()
    with anyio.move_on_after(LAST_ANSWERS):
        await connection.idle()
    house.leaving.set()


def _on_signals(house: House, lifeline: int) -> None:
    """Leave on the first signal, at once on the second; the reaper's death counts as one."""
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if house.leaving.is_set():
            house.hurry()
        house.leaving.set()

    def reaper_gone() -> None:
        loop.remove_reader(lifeline)
        house.leaving.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked)
    os.set_blocking(lifeline, False)
    loop.add_reader(lifeline, reaper_gone)
