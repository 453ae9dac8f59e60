"""Which servers there are, what is wanted of each, and what a person has said to it.

A model proposes, a person approves. An approval binds to the digest of one exact launch; whatever differs from it does
not run. What narrows a server is done at once; what widens it waits as a proposal, and the server stays as it was. The
memory here is what the house acts on; the store keeps it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import anyio

from roundhouse.errors import INVALID_PARAMS, BadMessage, FixedServers, NotApproved, NotFound
from roundhouse.model.calls import Caller
from roundhouse.model.servers import ServerSpec
from roundhouse.settings.entry import LAUNCH_KEYS, Names, read_entry
from roundhouse.supervise.launch import Launch, differences, launch_of
from roundhouse.supervise.proposals import Entry, Proposal, restore, reworded, values_of, widens, with_changes
from roundhouse.vault.binding import origin_of
from roundhouse.vault.references import references

if TYPE_CHECKING:  # a house that serves a file has no store, and does not load one
    from roundhouse.store.store import Store

MOST_SERVERS = 500  # more is a fault of whoever adds them, and every list would carry it
LONGEST_ENTRY = 64 * 1024  # characters; what is longer belongs into a file


class Standing(StrEnum):
    """What a person has said of a server's launch."""

    APPROVED = "approved"
    PENDING = "pending"
    DENIED = "denied"
    TRUSTED = "not needed"  # a person wrote the file it comes from


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish: which keys were applied, and which wait in a proposal."""

    spec: ServerSpec
    applied: tuple[str, ...] = ()
    proposed: tuple[str, ...] = ()
    proposal: Proposal | None = None


class Roster:
    """The servers of one home, or those of a file that a person wrote.

    Args:
        store: None for the servers of a file: they cannot be changed, and the file is the approval.
        reserved: names that are ours.
        passed_on: variables of our own environment that entries may name.
        changed: called with a server's name after it was added, changed, decided about or removed.
    """

    def __init__(
        self,
        store: Store | None,
        reserved: Collection[str],
        passed_on: Collection[str],
        changed: Callable[[str], Awaitable[None]],
    ) -> None:
        self.specs: dict[str, ServerSpec] = {}
        self.traits: dict[str, Entry] = {}
        self._store = store
        self.reserved = reserved
        self._passed_on = passed_on
        self._changed = changed
        self._entries: dict[str, Entry] = {}
        self._approved: dict[str, Launch] = {}
        self._denied: set[str] = set()
        self._proposals: dict[str, Proposal] = {}
        self._turn = anyio.Lock()

    def take(self, specs: Iterable[ServerSpec]) -> None:
        """Serve these, without a store."""
        self.specs = {spec.name: spec for spec in specs}

    async def load(self) -> None:
        """Take in what the store has kept."""
        store = self._writable()
        for row in await store.servers.all():
            self._entries[row.name] = json.loads(row.entry)
            self.traits[row.name] = json.loads(row.traits)
        self.specs = {name: self._read(name, entry) for name, entry in self._entries.items()}
        for approval in await store.approvals.standing():
            proposal = restore(approval)
            match approval.state:
                case "pending":
                    self._proposals[approval.id] = proposal
                case "approved":
                    self._approved[approval.server] = proposal.launch
                case "denied":
                    self._denied.add(approval.server)

    # -- what may run

    def standing(self, name: str) -> Standing:
        """What a person has said of this server."""
        if self._store is None:
            return Standing.TRUSTED
        if name in self._approved:
            return Standing.APPROVED
        waits = any(proposal.server == name for proposal in self._proposals.values())
        return Standing.DENIED if name in self._denied and not waits else Standing.PENDING

    def barred(self, name: str) -> NotApproved | None:
        """Why nothing of this server may run, None where it may."""
        standing = self.standing(name)
        return None if standing in (Standing.APPROVED, Standing.TRUSTED) else NotApproved(name, standing.value)

    async def admit(self, spec: ServerSpec) -> Launch:
        """The launch that may happen now. Raises: `NotApproved`, and proposes it, when it is not what was approved."""
        launch, approved = launch_of(spec), self._approved.get(spec.name)
        if self._store is None or (approved is not None and approved.digest == launch.digest):
            return launch
        if approved is None:
            raise NotApproved(spec.name, self.standing(spec.name).value)
        changes = differences(approved, launch)
        await self._keep(Proposal("", spec.name, "Roundhouse", 0.0, "change", {}, {}, launch, tuple(changes)))
        raise NotApproved(spec.name, "different", because=f"it is not what was approved: {'; '.join(changes)}")

    def proposals(self) -> list[Proposal]:
        """Everything that waits, oldest first."""
        return sorted(self._proposals.values(), key=lambda proposal: proposal.asked_at)

    # -- wishes

    async def add(self, name: str, entry: Entry, caller: Caller) -> Outcome:
        """Add a server: at once for a person, as a proposal for everybody else.

        Raises: `BadMessage` with everything that is wrong.
        """
        async with self._whole(name) as store:
            self.check_new(name, entry)
            spec = self._checked(name, entry)
            asked = self._drawn_up(name, "add", entry, launch_of(spec), reworded({}, entry), caller)
            proposal = await self._settle_now(asked, caller) if caller.person else await self._keep(asked)
            try:
                await store.servers.put(name, json.dumps(entry))
            except BaseException:
                await store.approvals.withdraw(name)
                self._drop(name)
                raise
            self._entries[name], self.specs[name], self.traits[name] = entry, spec, {}
        return Outcome(spec, applied=tuple(entry), proposal=None if caller.person else proposal)

    async def change(self, name: str, changes: Entry, caller: Caller) -> Outcome:
        """Change keys of an entry; None takes one away. What widens is only proposed, unless a person asks.

        Raises: `NotFound`; `BadMessage` with everything that is wrong.
        """
        async with self._whole(name) as store:
            before = self._entry(name)
            self._checked(name, with_changes(before, changes))
            waits = () if caller.person else tuple(key for key in changes if widens(key, before, changes[key]))
            at_once = {key: value for key, value in changes.items() if key not in waits}
            entry = with_changes(before, at_once)
            wanted = {key: changes[key] for key in waits}
            proposal = await self._propose_change(name, entry, wanted, caller) if wanted else None
            if at_once:
                spec = self._checked(name, entry)
                await store.servers.put(name, json.dumps(entry))
                self._entries[name], self.specs[name] = entry, spec
            if caller.person and any(key in LAUNCH_KEYS for key in at_once):
                launch = launch_of(self.specs[name])
                await self._settle_now(self._drawn_up(name, "change", at_once, launch, [], caller), caller)
        return Outcome(self.specs[name], tuple(at_once), waits, proposal)

    async def remove(self, name: str) -> None:
        """Forget a server and every yes that was given to it. Raises: `NotFound`."""
        async with self._whole(name) as store:
            self._entry(name)
            await store.approvals.withdraw(name)
            await store.catalogues.remove(name)
            await store.servers.remove(name)
            for known in (self._entries, self.specs, self.traits):
                known.pop(name, None)
            self._drop(name)

    async def learn(self, name: str, trait: str, value: object) -> None:
        """Keep something that was seen of a server."""
        if name in self.specs and self.traits.get(name, {}).get(trait) != value:
            self.traits[name] = {**self.traits.get(name, {}), trait: value}
            if self._store:
                await self._store.servers.set_traits(name, json.dumps(self.traits[name]))

    # -- what a person says

    async def approve(self, proposal_id: str, caller: Caller) -> Proposal:
        """A person's yes. Raises: `NotFound`; `BadMessage` when what would run is not what was proposed any more."""
        name = self._proposal(proposal_id).server
        async with self._whole(name) as store:
            proposal = self._proposal(proposal_id)
            entry = with_changes(self._entry(name), proposal.wanted)
            spec = self._checked(name, entry)
            now = launch_of(spec)
            before = values_of(proposal.wanted, self._entry(name))
            if now.digest != proposal.launch.digest or before != proposal.before:
                await self._withdraw(proposal)
                known = self._approved.get(name)
                told = [*(differences(known, now) if known else ()), *reworded(before, proposal.wanted)]
                again = await self._keep(replace(proposal, before=before, launch=now, changes=tuple(told)))
                raise BadMessage(
                    f"What would run for {name!r} has changed since it was proposed: look at {again.id}.",
                    number=INVALID_PARAMS,
                )
            await store.servers.put(name, json.dumps(entry))
            self._entries[name], self.specs[name] = entry, spec
            await store.approvals.supersede(await store.approvals.decide(proposal.id, approved=True, by=_who(caller)))
            await self._settled(proposal)
        return proposal

    async def deny(self, proposal_id: str, caller: Caller) -> Proposal:
        """A person's no. Raises: `NotFound`."""
        name = self._proposal(proposal_id).server
        async with self._whole(name) as store:
            proposal = self._proposal(proposal_id)
            await store.approvals.decide(proposal.id, approved=False, by=_who(caller))
            del self._proposals[proposal.id]
            if name not in self._approved:
                self._denied.add(name)
        return proposal

    # -- small things

    def check_new(self, name: str, entry: Entry) -> None:
        """Raises: `BadMessage` with everything that is in the way of adding this."""
        self._writable()
        if name in self._entries:
            raise BadMessage(
                f"There is a server {name!r} already. Change it with configure_server, or remove it first.",
                number=INVALID_PARAMS,
            )
        if len(self._entries) >= MOST_SERVERS:
            raise BadMessage(f"There are {MOST_SERVERS} servers already; remove one first.", number=INVALID_PARAMS)
        self._checked(name, entry)

    def check_change(self, name: str, changes: Entry) -> None:
        """Raises: `NotFound`; `BadMessage` with everything that is wrong with these changes."""
        self._writable()
        self._checked(name, with_changes(self._entry(name), changes))

    def _writable(self) -> Store:
        if self._store is None:
            raise FixedServers
        return self._store

    def _entry(self, name: str) -> Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise NotFound("server", name, list(self._entries), hint="list_servers shows all of them.")
        return entry

    def _proposal(self, proposal_id: str) -> Proposal:
        proposal = self._proposals.get(proposal_id)
        if proposal is None:
            raise NotFound("proposal", proposal_id, list(self._proposals), hint="`roundhouse approve` shows all.")
        return proposal

    def _read(self, name: str, entry: Entry) -> ServerSpec:
        return read_entry(Names({**self._entries, name: entry}, self.reserved), name, entry)

    def _checked(self, name: str, entry: Entry) -> ServerSpec:
        spec = self._read(name, entry)
        if len(json.dumps(entry)) > LONGEST_ENTRY:
            raise BadMessage(
                f"The entry of {name!r} has more than {LONGEST_ENTRY:,} characters.", number=INVALID_PARAMS
            )
        cwd = spec.cwd or "/"
        relative = [] if cwd.startswith(("/", "~")) else [f"cwd {cwd!r} is relative to nothing; write the whole path."]
        problems = [*spec.problems, *relative, *references(entry, passed_on=self._passed_on).problems]
        if problems:
            raise BadMessage(" ".join(problems), number=INVALID_PARAMS)
        return spec

    @asynccontextmanager
    async def _whole(self, name: str) -> AsyncIterator[Store]:
        """What is done in here is done one at a time and to its end, whoever cancels; then all hear of it."""
        store = self._writable()
        with anyio.CancelScope(shield=True):
            async with self._turn:
                yield store
            await self._changed(name)

    def _drawn_up(
        self, name: str, kind: str, wanted: Entry, launch: Launch, changes: Sequence[str], caller: Caller
    ) -> Proposal:
        before = values_of(wanted, self._entries.get(name, wanted))
        return Proposal("", name, _who(caller), 0.0, kind, wanted, before, launch, tuple(changes))

    async def _keep(self, proposal: Proposal) -> Proposal:
        """Have it wait for a person."""
        approvals = self._writable().approvals
        kept = await approvals.propose(proposal.server, proposal.digest, proposal.text(), proposal.asked_by)
        proposal = replace(proposal, id=kept.id, asked_by=kept.asked_by, asked_at=kept.asked_at)
        self._proposals[proposal.id] = proposal
        return proposal

    async def _propose_change(self, name: str, entry: Entry, wanted: Entry, caller: Caller) -> Proposal:
        """What was proposed for a server that never ran is replaced: one yes to the whole is enough."""
        changed = with_changes(entry, wanted)
        launch = launch_of(self._checked(name, changed))
        if name in self._approved:
            told = [*differences(self._approved[name], launch), *reworded(entry, wanted)]
            return await self._keep(self._drawn_up(name, "change", wanted, launch, told, caller))
        earlier = [one for one in self._proposals.values() if one.server == name]
        gone = {key: None for key in entry if key not in changed}
        whole = self._drawn_up(name, "add", {**changed, **gone}, launch, reworded({}, changed), caller)
        for one in earlier:
            if one.digest != whole.digest:
                await self._withdraw(one)
        return await self._keep(whole)

    async def _settle_now(self, proposal: Proposal, caller: Caller) -> Proposal:
        """What a person asks for is approved by that."""
        approvals = self._writable().approvals
        kept = await approvals.approve_now(proposal.server, proposal.digest, proposal.text(), _who(caller))
        proposal = replace(proposal, id=kept.id, asked_at=kept.asked_at)
        await self._settled(proposal)
        return proposal

    async def _settled(self, proposal: Proposal) -> None:
        """This launch, and no other of the server, may run."""
        await self._give_secrets(proposal)
        self._approved[proposal.server] = proposal.launch
        self._denied.discard(proposal.server)
        self._proposals.pop(proposal.id, None)

    def _drop(self, name: str) -> None:
        """Nothing is approved, denied or proposed for it any more."""
        self._approved.pop(name, None)
        self._denied.discard(name)
        self._proposals = {key: one for key, one in self._proposals.items() if one.server != name}

    async def _give_secrets(self, proposal: Proposal) -> None:
        """The person has seen which secrets it names: those that nobody has yet are its own from now on."""
        store, launch = self._writable(), proposal.launch
        origin = origin_of(launch.url) if launch.url else None
        entry = {"args": launch.argv, "env": launch.env, "headers": launch.headers, "url": launch.url}
        known = {row.name: row for row in await store.secrets.all()}
        for name in references(entry).secrets:
            if name in known and known[name].server is None:
                await store.secrets.bind(name, server=proposal.server, origin=origin)

    async def _withdraw(self, proposal: Proposal) -> None:
        await self._writable().approvals.retract(proposal.id)
        del self._proposals[proposal.id]


def _who(caller: Caller) -> str:
    return "a person, on the command line" if caller.person else caller.name
