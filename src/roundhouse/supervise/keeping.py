"""What the house writes down as it goes: lists and traits as facts, state changes and calls as measurements."""

from __future__ import annotations

import logging
import time
from collections.abc import Coroutine

import anyio
from anyio.abc import TaskGroup
from msgspec import Raw

from roundhouse.errors import RoundhouseError
from roundhouse.model.calls import CallFinished
from roundhouse.model.health import Sample, Verdict
from roundhouse.store.catalogues import Catalogue
from roundhouse.store.health import Sample as Row
from roundhouse.store.states import StateChange
from roundhouse.store.store import Store
from roundhouse.supervise.instance import Instance
from roundhouse.supervise.launch import launch_of
from roundhouse.supervise.listing import Listing
from roundhouse.supervise.remembered import Remembered
from roundhouse.supervise.roster import Roster
from roundhouse.supervise.states import Event, State
from roundhouse.vault.redact import Redactor
from roundhouse.wire.envelope import elements

SETTLE = 1.0  # seconds

logger = logging.getLogger(__name__)


class Keeping:
    """The house's hand in the store. What cannot be written is logged, and lost.

    Args:
        tasks: where facts are written; ends with the house.
    """

    def __init__(self, store: Store, roster: Roster, tasks: TaskGroup, redactor: Redactor) -> None:
        self._store = store
        self._roster = roster
        self._tasks = tasks
        self._redactor = redactor
        self._lists: dict[tuple[str, str], Listing] = {}  # that are not written yet
        self._writing: set[tuple[str, str]] = set()  # whose lists a task is writing

    async def restore(self, remembered: Remembered) -> None:
        """Take in the lists that were kept, as far as their servers are still started the same way."""
        for kept in await self._store.catalogues.all():
            spec = self._roster.specs.get(kept.server)
            if spec is not None and launch_of(spec).digest == kept.digest:
                remembered.restore(kept.server, kept.profile, _listing(kept))

    def listing(self, server: str, profile: str, listing: Listing) -> None:
        """A server offers this now."""
        self._lists[server, profile] = listing
        if (server, profile) not in self._writing:
            self._writing.add((server, profile))
            self._tasks.start_soon(self._write_lists, server, profile)

    def trait(self, server: str, trait: str, value: object) -> None:
        """Something was learned about a server."""
        self._tasks.start_soon(self._write, self._roster.learn(server, trait, value))

    def moved(self, instance: Instance, before: State, event: Event) -> None:
        """An instance is in another state."""
        after, reason = instance.state.value, instance.reason
        change = StateChange(instance.name, instance.key, time.time(), before.value, after, event.value, reason)
        self._store.journal.note(change)

    def sampled(self, sample: Sample, verdict: Verdict) -> None:
        """The health of an instance at one moment."""
        self._store.journal.note(
            Row(
                server=sample.server,
                instance=sample.instance,
                at=sample.at,
                state=sample.state,
                verdict=verdict.level.value,
                reason=" ".join(verdict.reasons),
                ping_ms=sample.ping_ms,
                rss_bytes=sample.rss,
                cpu_percent=sample.cpu,
                fds=sample.fds,
                children=sample.children,
            )
        )

    def called(self, call: CallFinished) -> None:
        """A call is over."""
        self._store.journal.note(call)

    async def finish(self) -> None:
        """Write what waits: the house leaves."""
        for server, profile in list(self._lists):
            await self._write(self._write_list(server, profile))

    async def _write_lists(self, server: str, profile: str) -> None:
        """Write a list at once, and what it has become a while later: one that changes all the time costs little."""
        while (server, profile) in self._lists:
            await self._write(self._write_list(server, profile))
            await anyio.sleep(SETTLE)
        self._writing.discard((server, profile))

    async def _write_list(self, server: str, profile: str) -> None:
        listing = self._lists.pop((server, profile))
        if spec := self._roster.specs.get(server):
            await self._store.catalogues.put(
                server,
                profile=profile,
                digest=launch_of(spec).digest,
                tools=self._redactor.known(b"[" + b",".join(map(bytes, listing.tools)) + b"]"),
                capabilities="{}",
                instructions=self._redactor.text(listing.instructions),
            )

    async def _write(self, work: Coroutine[None, None, object]) -> None:
        try:
            await work
        except RoundhouseError as failed:
            logger.warning("it could not be written down: %s", failed)
        except Exception:
            logger.exception("it could not be written down, in a way nobody foresaw")


def _listing(kept: Catalogue) -> Listing:
    return Listing(tuple(Raw(bytes(tool)) for tool in elements(kept.tools)), (), kept.instructions)
