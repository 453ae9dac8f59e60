"""The composition root: which rooms there are, who is handed to whom, and how a house ends.

`serve_alone` and `serve_house` are the two ways to serve; both furnish their house here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from roundhouse import __version__
from roundhouse.errors import RoundhouseError
from roundhouse.health.watch import Watch
from roundhouse.house import Guest, House
from roundhouse.model.servers import ServerSpec
from roundhouse.operations.dispatch import PERSON_ONLY, definitions
from roundhouse.operations.rooms import Rooms
from roundhouse.settings.house import Settings
from roundhouse.settings.packed import resource
from roundhouse.supervise.filling import Filling
from roundhouse.supervise.instance import Instance
from roundhouse.supervise.roster import Roster
from roundhouse.supervise.states import Event, State
from roundhouse.vault.redact import Redactor
from roundhouse.wire.stdio import Turn

if TYPE_CHECKING:
    from roundhouse.store.store import Store
    from roundhouse.vault.keep import Vault

logger = logging.getLogger(__name__)

RESERVED = frozenset({"roundhouse", "chain"})  # server names that would read as ours
AFTER_A_FAULT = 5.0  # seconds
LAST_ANSWERS = 1.0  # seconds for calls in flight after a client's end-of-file, where it still reads
BAD_CONFIGURATION = 2  # exit code, as for a bad command line


class Leaving:
    """How a house ends: asked once it leaves, asked twice it hurries; with nobody there, after a while."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.hurry: Callable[[], None] = lambda: None
        self.on_request = False  # a person said so: clients need not look for the next house at once
        self._timer: asyncio.TimerHandle | None = None

    def ask(self) -> None:
        """Leave, or hurry if that is under way."""
        if self.asked.is_set():
            self.hurry()
        self.by_a_person()

    def by_a_person(self) -> None:
        """Leave, and let the clients know that it was meant."""
        self.on_request = True
        self.asked.set()

    def when_idle(self, seconds: float, idle: bool) -> None:
        """Start to count, or stop. Zero seconds: never."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if idle and seconds:
            self._timer = asyncio.get_running_loop().call_later(seconds, self.asked.set)


async def furnish(
    tasks: TaskGroup,
    turn: Turn,
    settings: Settings,
    store: Store | None,
    home: Path | None,
    specs: list[ServerSpec] | None,
    redactor: Redactor,
    leaving: Leaving,
    log: str = "",
) -> House:
    """The house with everything in it, its servers known, none of them started.

    Args:
        specs: the servers of a file; None: those of the store.
        log: where what it says is written, for people.
    """
    own = definitions()
    vault = keeping = None

    async def changed(name: str) -> None:
        await house.server_changed(name)

    roster = Roster(store, RESERVED | own.keys() | PERSON_ONLY, settings.env if store else os.environ, changed)
    if store is None:
        roster.take(specs or ())
    else:
        # loaded here: who serves a file has no use for SQLite, and would pay for it in memory
        from roundhouse.supervise.keeping import Keeping
        from roundhouse.vault.keep import Vault

        await roster.load()
        keeping = Keeping(store, roster, tasks, redactor)
        vault = Vault(home) if home else None
    watch = Watch(keeping.sampled if keeping else lambda sample, verdict: None)

    def moved(instance: Instance, before: State, event: Event) -> None:
        watch.moved(instance, before.value)
        if keeping:
            keeping.moved(instance, before, event)

    def rooms(guest: Guest) -> Rooms:
        view = house.view(guest.profile)
        return Rooms(
            caller=guest.caller,
            profile=guest.profile,
            settings=settings,
            supervisor=house.supervisor,
            roster=roster,
            remembered=house.remembered,
            catalogue=lambda: view.catalogue,
            search=view.search,
            redactor=redactor,
            watch=watch,
            store=store,
            vault=vault,
            facts=lambda: _facts(house, settings, store, home, log),
            leave=leaving.by_a_person,
        )

    house = House(
        roster,
        settings,
        own=own,
        person_only=PERSON_ONLY,
        instructions=resource("prompts/instructions.md").split("---\n", 2)[2].strip(),
        redactor=redactor,
        logs=home / "logs" / "servers" if home else None,
        turn=turn,
        tasks=tasks,
        fill=Filling(store, vault, redactor, settings.env if store else None),
        kept=keeping,
        moved=moved,
        note=keeping.called if keeping else None,
        rooms=rooms,
        idle=lambda idle: leaving.when_idle(settings.idle_leave, idle),
    )
    leaving.hurry = house.supervisor.kill
    if keeping:
        await keeping.restore(house.remembered)
    if store:
        tasks.start_soon(_kept_up, store.keep)
        if vault:
            tasks.start_soon(_learn_secrets, store, vault, redactor)
    tasks.start_soon(_kept_up, partial(watch.run, house.probed))
    return house


def on_signals(leaving: Leaving, lifeline: int) -> None:
    """Leave on the first signal, at once on the second; the reaper's death counts as one."""
    loop = asyncio.get_running_loop()

    def reaper_gone() -> None:
        loop.remove_reader(lifeline)
        leaving.asked.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, leaving.ask)
    os.set_blocking(lifeline, False)
    loop.add_reader(lifeline, reaper_gone)


async def _learn_secrets(store: Store, vault: Vault, redactor: Redactor) -> None:
    """Know what nobody may see from the beginning, also what no server has been given yet."""
    try:
        for row in await store.secrets.all():
            if value := await vault.get(row.name):
                await anyio.to_thread.run_sync(redactor.add, row.name, value)
    except RoundhouseError as locked:
        logger.warning("the secrets cannot be read now: %s", locked)


async def _kept_up(work: Callable[[], Awaitable[None]]) -> None:
    """Do what goes on for as long as the house lives; a fault in it is logged, and it is begun again."""
    while True:
        try:
            await work()
        except Exception:
            logger.exception("something that keeps the house going failed in a way nobody foresaw")
            await anyio.sleep(AFTER_A_FAULT)


def _facts(house: House, settings: Settings, store: Store | None, home: Path | None, log: str) -> dict[str, Any]:
    states = Counter(best.state.value if (best := server.best()) else "stopped" for server in house.supervisor)
    return {
        "pid": os.getpid(),
        "version": __version__,
        "uptime_seconds": round(time.time() - house.begun, 1),
        "home": str(home or ""),
        "log": log,
        "clients": [
            {"name": guest.name, "pid": guest.caller.pid, "version": guest.caller.version, "since": guest.since}
            for guest in house.guests.values()
            if not guest.caller.person
        ],
        "servers": dict(states),
        "pending_approvals": len(house.roster.proposals()),
        "notes": [note.text for note in store.notes] if store else [],
        "idle_leave_seconds": settings.idle_leave,
        "store": {"dropped_measurements": store.journal.dropped} if store else {},
    }
