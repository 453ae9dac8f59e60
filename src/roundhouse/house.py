"""The house: all rooms together around the servers, and each client's place in it.

What changes anywhere (a server's list, its state, what a person said of it) ends in `_refresh`, which makes that
server's part of each view anew and tells the clients whose list is different now.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from roundhouse.doors.translate import as_error, as_tool_result
from roundhouse.errors import Refused, RoundhouseError
from roundhouse.gateway.catalogue import Part, part_of
from roundhouse.gateway.connection import LEVELS, Connection
from roundhouse.gateway.interact import heard
from roundhouse.gateway.switch import CALL_TOOL, Switch
from roundhouse.gateway.view import View
from roundhouse.model.calls import Caller, CallFinished
from roundhouse.model.servers import ServerSpec, Start
from roundhouse.operations.dispatch import dispatch
from roundhouse.operations.rooms import Rooms
from roundhouse.process.logfile import LogFile
from roundhouse.process.spawn import Children
from roundhouse.process.stop import ALL, end_everybody
from roundhouse.settings.house import Settings
from roundhouse.supervise.instance import Instance
from roundhouse.supervise.launch import Prepared, prepare
from roundhouse.supervise.listing import Listing
from roundhouse.supervise.remembered import Remembered
from roundhouse.supervise.roster import Roster, Standing
from roundhouse.supervise.server import Server
from roundhouse.supervise.states import Event, State
from roundhouse.supervise.supervisor import Supervisor
from roundhouse.vault.redact import Redactor
from roundhouse.wire.envelope import Members, Parts, Raws, Unreadable, members, text
from roundhouse.wire.eras import PLAIN, Profile
from roundhouse.wire.peer import Peer, Writer
from roundhouse.wire.stdio import Turn

logger = logging.getLogger(__name__)

INSTRUCTIONS_BUDGET = 4096  # characters of what all servers say of themselves; describe_tool shows each whole
UP = (State.READY, State.DEGRADED)
IDLE_LOOK = 0.05  # seconds; only looked at while draining


class Fill(Protocol):
    """Where the values of references come from."""

    async def __call__(self, spec: ServerSpec) -> Callable[[str], str]:
        """What puts values into the texts of this server's launch. Raises: what forbids one of them."""


class Kept(Protocol):
    """Where the house writes down what it sees."""

    def listing(self, server: str, profile: str, listing: Listing) -> None: ...
    async def finish(self) -> None: ...
    def trait(self, server: str, trait: str, value: object) -> None: ...


class House:
    """The servers of one home, or of one file, and the clients that share them.

    Args:
        roster: loaded already.
        own: definitions of our own tools, by name.
        fill: where the values of references come from.
        moved: called with every change of an instance's state.
        kept: None where nothing is kept.
        note: takes what became of each call, None where nobody keeps it.
        redactor: knows what nobody may see.
        logs: the folder of the servers' logs; None where there is none.
        person_only: names of operations that only the command line may ask for.
        rooms: makes what the handlers of our own tools work on, for one client.
        idle: called when the last client has left, and again with False when one comes.
    """

    def __init__(
        self,
        roster: Roster,
        settings: Settings,
        *,
        own: Mapping[str, bytes],
        person_only: frozenset[str],
        instructions: str,
        redactor: Redactor,
        logs: Path | None,
        turn: Turn,
        tasks: TaskGroup,
        fill: Fill,
        kept: Kept | None,
        moved: Callable[[Instance, State, Event], None],
        note: Callable[[CallFinished], None] | None,
        rooms: Callable[[Guest], Rooms],
        idle: Callable[[bool], None],
    ) -> None:
        self.roster = roster
        self.settings = settings
        self.guests: dict[str, Guest] = {}
        self.begun = time.time()
        self._person_only = person_only
        self._redactor = redactor
        self._logs = logs
        self._files: dict[str, LogFile] = {}
        self.tasks = tasks
        self.remembered = Remembered(kept.listing if kept else lambda server, profile, listing: None)
        self._instructions = instructions
        self._own = own
        self._views: dict[str, View] = {}
        self._parts: dict[tuple[str, str], tuple[ServerSpec, Listing, Part]] = {}
        self._tried: set[str] = set()  # servers that were started once to see what they offer
        self._fill = fill
        self._kept = kept
        self.note = note
        self.rooms = rooms
        self._idle = idle
        self.supervisor = Supervisor(
            tasks,
            children=Children(),
            turn=turn,
            prepare=self._prepare,
            moved=moved,
            changed=self._refresh,
            received=self._heard,
            redact=redactor.data,
            log=self._log,
            in_use=self._in_use,
        )
        for spec in roster.specs.values():
            for problem in spec.problems:
                logger.error("%s", problem)
            self.supervisor.put(spec, per_client=bool(roster.traits.get(spec.name, {}).get("per_client")))

    # -- clients

    def enter(self, caller: Caller, writer: Writer) -> Guest:
        """Take in a client."""
        if not self.guests:
            self._idle(False)
        guest = self.guests[caller.id] = Guest(self, caller, writer)
        return guest

    def leave(self, guest: Guest) -> None:
        """A client has gone: what it asked for is cancelled, and what only it needed ends."""
        if self.guests.pop(guest.caller.id, None) is None:
            return
        guest.connection.close()
        key = guest.profile.key
        last = not any(other.profile.key == key for other in self.guests.values())
        for server in self.supervisor:
            for instance in server:
                instance.users.discard(guest.caller.id)
                if instance.client == guest.caller.id:
                    self.tasks.start_soon(self.supervisor.retire, server, instance)
            if last:
                for instance in self._spare(server):
                    self.tasks.start_soon(self.supervisor.retire, server, instance)
        if last:
            self._views.pop(key, None)
            self._parts = {at: part for at, part in self._parts.items() if at[1] != key}
        if not self.guests:
            self._idle(True)

    def _spare(self, server: Server) -> list[Instance]:
        """Instances that nobody misses now that their clients have gone. What was used last stays: the next client may
        be like the last one, and what it said is asked for later."""
        left = sorted((one for one in server if not any(self._served_by(one))), key=lambda one: one.last_used)
        down = (State.STOPPED, State.FAILED)
        return [one for one in left[:-1] if one.state in down or server.spec.start is Start.ALWAYS]

    def view(self, profile: Profile) -> View:
        """What clients of this profile see."""
        view = self._views.get(profile.key)
        if view is None:
            parts = {server.name: self._part(server, profile) for server in self.supervisor}
            view = View(profile, self._own.values(), parts, self.settings.expose, self.settings.list_budget)
            self._views[profile.key] = view
        return view

    def instance(self, name: str, guest: Guest) -> Instance:
        """The instance of a server that serves this client. Raises: why nothing of it may be called."""
        server = self.supervisor.get(name)
        if barred := self.roster.barred(name):
            raise barred
        instance = server.instance(guest.profile, guest.caller.id)
        if guest.level is not None and guest.caller.id not in instance.users:
            self.set_level(instance)
        return instance

    def set_level(self, instance: Instance) -> None:
        """Tell an instance from which level on to log: the lowest that any client of it wants."""
        asked = [guest.level for guest in self._served_by(instance) if guest.level is not None]
        if asked:
            instance.set_level({"level": f'"{LEVELS[min(asked)]}"'.encode()})

    def begin(self, guest: Guest) -> list[Instance]:
        """A client has opened: start what is always to run, and what nothing is known of. Returns what to wait for."""
        awaited = []
        for server in self.supervisor:
            if server.stopped or server.spec.disabled or self.roster.barred(server.name):
                continue
            known = self.remembered.listing(server.name, guest.profile.key) is not None
            instance = None
            if server.spec.start is Start.ALWAYS:
                instance = server.instance(guest.profile, guest.caller.id)
                if instance.state is State.STOPPED:
                    instance.start()
                for other in server:
                    if other is not instance and not any(self._served_by(other)):
                        self.tasks.start_soon(self.supervisor.retire, server, other)
            elif not known and server.name not in self._tried:
                self._tried.add(server.name)
                instance = server.instance(guest.profile, guest.caller.id)
                instance.learn()
            if instance and not known:
                awaited.append(instance)
        return awaited

    def instructions(self) -> str:
        """What a model is told about us, and what the servers say of themselves, as far as the budget goes."""
        told = [self._instructions]
        left = INSTRUCTIONS_BUDGET
        for server in self.supervisor:
            listing = self.remembered.listing(server.name, "")
            if listing and listing.instructions and not self.roster.barred(server.name):
                said = f"The server {server.name!r} says of itself: {listing.instructions}"
                if len(said) <= left:
                    told.append(said)
                    left -= len(said)
        return "\n\n".join(told)

    def offers(self, name: str, caller: Caller) -> bool:
        """Whether this is a tool of ours for this caller."""
        return name != CALL_TOOL and (name in self._own or (caller.person and name in self._person_only))

    def serving(self, guest: Guest) -> Iterator[Instance]:
        """The instances there are for this client."""
        for server in self.supervisor:
            if instance := server.existing(guest.profile, guest.caller.id):
                yield instance

    # -- what changes

    async def server_changed(self, name: str) -> None:
        """The roster says something else of a server now. Returns when what is gone has gone."""
        spec = self.roster.specs.get(name)
        if spec is None:
            self.remembered.forget(name)
            self._tried.discard(name)
            for view in self._views.values():
                if view.put(name, None):
                    self._tell(view)
            if name in self.supervisor:
                await self.supervisor.remove(name)
            return
        known = self.supervisor.get(name).spec if name in self.supervisor else None
        if known is not None and not known.starts_like(spec):
            self.remembered.forget(name)
            self._tried.discard(name)
        server = self.supervisor.put(spec)
        if self.roster.barred(name) or (spec.disabled and known is not None and not known.disabled):
            for instance in server:
                await self.supervisor.retire(server, instance)
        elif not spec.disabled and not server.stopped:
            for instance in server:
                if instance.state is State.FAILED:
                    instance.learn()
            if name not in self._tried:
                self._learn(server)
        self._refresh(server)

    def _learn(self, server: Server) -> None:
        """Start it, as the first of the clients sees it, to know what it offers."""
        if self.remembered.listing(server.name, "") is not None and server.spec.start is Start.ON_DEMAND:
            return
        self._tried.add(server.name)
        first = next((guest for guest in self.guests.values() if not guest.caller.person), None)
        first = first or next(iter(self.guests.values()), None)
        if first:
            server.instance(first.profile, first.caller.id).learn()

    def _refresh(self, server: Server) -> None:
        for instance in server:
            if instance.state in UP:
                self.remembered.note(server.name, instance.profile.key, instance.listing)
        for view in self._views.values():
            if view.put(server.name, self._part(server, view.profile)):
                self._tell(view)

    def _part(self, server: Server, profile: Profile) -> Part:
        """What a server offers to clients of this profile."""
        alike = [instance for instance in server if instance.profile.key == profile.key]
        up = any(instance.state in UP for instance in alike)
        failed = bool(alike) and all(instance.state is State.FAILED for instance in alike)
        gone = failed and server.spec.start is Start.ALWAYS  # what calls start is tried again by one, or says why not
        if gone or server.stopped or (server.spec.disabled and not up) or self.roster.barred(server.name):
            return Part()
        listing = self.remembered.listing(server.name, profile.key)
        if listing is None:
            return Part()
        at = (server.name, profile.key)
        made = self._parts.get(at)
        if made is None or made[0] is not server.spec or made[1] is not listing:
            made = self._parts[at] = (server.spec, listing, part_of(server.spec, listing.tools))
        return made[2]

    def _tell(self, view: View) -> None:
        for guest in self.guests.values():
            if guest.profile.key == view.profile.key:
                guest.connection.tools_changed()

    # -- what servers need

    async def _prepare(self, spec: ServerSpec) -> Prepared:
        if spec.problems or spec.url:
            return prepare(spec, str)
        launch = await self.roster.admit(spec)
        prepared = prepare(spec, await self._fill(spec))
        if prepared.argv[0] != launch.executable and self.roster.standing(spec.name) is not Standing.TRUSTED:
            raise Refused(f"it would start {prepared.argv[0]!r}, but {launch.executable!r} was approved.")
        return prepared

    def _heard(self, instance: Instance, peer: Peer, message: Members) -> None:
        clients = self._listeners(instance)
        if len(clients) == 1 and not clients[0].wants(message):
            return
        heard(
            instance,
            peer,
            message,
            clients=[guest.connection for guest in clients],
            translate=self.translate,
            crowded=lambda: self._crowded(instance),
        )

    def _listeners(self, instance: Instance) -> Sequence[Guest]:
        """Whom what an instance says can be for."""
        served = list(self._served_by(instance))
        calling = [guest for guest in served if guest.caller.id in instance.callers]
        return calling or [guest for guest in served if guest.caller.id in instance.users] or served

    def _served_by(self, instance: Instance) -> Iterator[Guest]:
        for guest in self.guests.values():
            alike = guest.name and guest.profile.key == instance.profile.key
            if alike and instance.client in ("", guest.caller.id):
                yield guest

    def _crowded(self, instance: Instance) -> None:
        server = self.supervisor.get(instance.name)
        if not server.per_client:
            logger.warning("%s asked one of several clients: each has an instance of its own from now on", server.name)
            server.per_client = True
            if self._kept:
                self._kept.trait(server.name, "per_client", True)

    def probed(self) -> list[Instance]:
        """What there is to probe."""
        return [instance for server in self.supervisor for instance in server]

    def _in_use(self, instance: Instance) -> bool:
        """Whether it may remember something that a client there relies on."""
        if not (instance.client or instance.asks):
            return False
        return any(guest.caller.id in instance.users for guest in self._served_by(instance))

    def translate(self, error: RoundhouseError) -> bytes:
        """A failure as a JSON-RPC error that tells no secret."""
        return as_error(error, self._redactor.strings)

    def translate_for_tool(self, error: RoundhouseError) -> bytes:
        """A failure as the result of a tool of ours, that tells no secret either."""
        return as_tool_result(error, self._redactor.strings)

    def _log(self, server: str) -> Callable[[bytes], None]:
        if self._logs is None:
            return lambda line: None
        if server not in self._files:
            self._files[server] = LogFile(self._logs / f"{server}.log")
        return self._files[server].add

    # -- leaving

    async def drain(self, within: float) -> None:
        """Wait until no call is under way. Bounded."""
        with anyio.move_on_after(within):
            while any(guest.connection.peer.unanswered for guest in self.guests.values()):  # noqa: ASYNC110
                await anyio.sleep(IDLE_LOOK)

    def say_goodbye(self, words: bytes) -> None:
        """Tell the fronts of all clients, not the clients, that they need not look for another house at once."""
        for guest in self.guests.values():
            if not guest.caller.person:
                guest.writer.write([words], len(words))

    async def stop(self) -> None:
        """Let every client go and stop every server. Returns when no process is left."""
        for guest in list(self.guests.values()):
            guest.connection.close()
        if self._kept:
            await self._kept.finish()
        await self.supervisor.stop()
        await end_everybody(ALL.stragglers)


class Guest:
    """One client in the house: what its connection needs of it (gateway.connection.Host)."""

    def __init__(self, house: House, caller: Caller, writer: Writer) -> None:
        self.caller = caller
        self.writer = writer
        self.profile = PLAIN
        self.since = time.time()
        self.name = ""  # what it calls itself; empty before it has opened
        self.level: int | None = None  # of log messages it wants, as a place in LEVELS
        self.house = house
        self._awaited: list[Instance] = []
        self.switch = Switch(
            caller.id,
            catalogue=lambda: house.view(self.profile).catalogue,
            server=lambda name: house.instance(name, self),
            names=lambda: house.roster.specs,
            translate=house.translate,
            note=house.note,
        )
        self.connection = Connection(
            writer, name=caller.id, host=self, switch=self.switch, translate=house.translate, tasks=house.tasks
        )

    @property
    def instructions(self) -> str:
        return self.house.instructions()

    def opened(self, profile: Profile, name: str) -> None:
        self.profile, self.name = profile, name
        self.caller = replace(self.caller, name=f'the client "{name}"')
        if not self.caller.person:
            self._awaited = self.house.begin(self)

    async def filled(self) -> None:
        await self.house.supervisor.filled(self._awaited)
        self._awaited = []

    def roots_changed(self) -> None:
        for instance in self.house.serving(self):
            instance.announce("notifications/roots/list_changed")

    def set_level(self, level: int) -> None:
        self.level = level
        for instance in self.house.serving(self):
            self.house.set_level(instance)

    def wants(self, message: Members) -> bool:
        """Whether a message of a server is worth its while: log lines below the level it asked for are not."""
        if self.level is None or text(message.get("method")) != "notifications/message":
            return True
        try:
            level = text(members(message["params"]).get("level"))
        except (KeyError, Unreadable):
            return True
        return level not in LEVELS or LEVELS.index(level) >= self.level

    def is_ours(self, name: str) -> bool:
        return self.house.offers(name, self.caller)

    async def operate(self, name: str, arguments: Raws | None) -> Parts:
        try:
            return await dispatch(self.house.rooms(self), name, arguments)
        except RoundhouseError as error:
            return [self.house.translate_for_tool(error)]
