"""The house of one home: one process for all clients of a user, found through its socket."""

from __future__ import annotations

import fcntl
import importlib
import logging
import os
import time
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from roundhouse import __version__
from roundhouse.app import BAD_CONFIGURATION, LAST_ANSWERS, Leaving, furnish, on_signals
from roundhouse.doors.socket import Hello, SocketDoor, Visitor
from roundhouse.errors import RoundhouseError
from roundhouse.house import Guest, House
from roundhouse.model.calls import Caller
from roundhouse.operations.dispatch import REGISTRY
from roundhouse.process.output import redact_logs
from roundhouse.process.table import mark_of_house
from roundhouse.rendezvous import (
    DRAIN,
    FAREWELL,
    LOG_LIMIT,
    Place,
    RendezvousError,
    find,
    hold_house_lock,
    newer,
    write_pid_file,
)
from roundhouse.settings.house import Settings, load_settings
from roundhouse.store.payloads import Payloads
from roundhouse.store.store import open_store
from roundhouse.vault.redact import Redactor
from roundhouse.wire.stdio import Turn

logger = logging.getLogger(__name__)

LOG_LOOK = 60.0  # seconds
READY_AFTER = 2.0  # seconds
LOCK_WAIT = 8.0  # seconds for the house before us to end its servers; below what a front waits for us
TAKEN = 3  # exit code: another house has this home


async def serve_house(home: str, replace: bool, lifeline: int) -> int:
    """Serve every client of one home until nobody has needed it for long, a signal comes, or a person says so.

    Args:
        replace: another house may run: it is asked to make room.

    Returns: the exit code.
    """
    try:
        place = Place(home)
        settings = load_settings(Path(place.home))
        lock = await anyio.to_thread.run_sync(_take_over if replace else _take, place)
        if lock is None:
            logger.error("Another house has this home: %s is locked.", place.house_lock)
            return TAKEN
        await _serve(place, settings, lifeline)
        os.close(lock)
    except (RoundhouseError, RendezvousError) as bad:
        logger.error("%s", bad)  # noqa: TRY400 - a person reads it, and it says what to do
        return BAD_CONFIGURATION
    return 0


async def _serve(place: Place, settings: Settings, lifeline: int) -> None:
    turn, leaving, redactor = Turn(), Leaving(), Redactor()
    redact_logs(redactor.text)
    home, payloads = Path(place.home), Payloads(settings.log_payloads)
    async with (
        open_store(home, redact=redactor.text, log_payloads=payloads) as store,
        anyio.create_task_group() as tasks,
    ):
        house = await furnish(tasks, turn, settings, store, home, None, redactor, leaving, log=place.log)
        on_signals(leaving, lifeline)
        write_pid_file(place, __version__)
        doorman = Doorman(house, leaving, tasks)
        door = SocketDoor(place, turn, version=__version__, accepted=doorman.receive, refuse=doorman.refuses)
        leaving.when_idle(settings.idle_leave, True)
        tasks.start_soon(_get_ready)
        tasks.start_soon(_keep_log_short, Path(place.log))
        logger.info("house %s open at %s, home %s", __version__, place.socket, place.home)
        await leaving.asked.wait()
        door.close()
        with anyio.CancelScope(shield=True):
            if doorman.drains:
                await house.drain(DRAIN)
            if leaving.on_request:
                house.say_goodbye(FAREWELL)
            doorman.see_everybody_off()
            await house.stop()
        tasks.cancel_scope.cancel()


class Doorman:
    """Who comes in through the socket, and as whom."""

    def __init__(self, house: House, leaving: Leaving, tasks: TaskGroup) -> None:
        self.drains = False
        self._house = house
        self._leaving = leaving
        self._tasks = tasks
        self._inside: dict[Visitor, Guest] = {}
        self._count = 0
        self._life = f"{os.getpid():x}-{int(time.time()) & 0xFFFFFF:x}"  # unlike that of the house before

    def refuses(self, hello: Hello) -> str | None:
        """Why somebody may not come in."""
        if hello.inside and hello.inside.startswith(f"{mark_of_house()}:"):
            return "This Roundhouse is a server of the very house it asks for. Remove it from the servers."
        return None

    def receive(self, visitor: Visitor) -> None:
        """Take somebody in."""
        if visitor.kind == "successor":
            if newer(visitor.version, __version__):
                logger.info("a newer house (%s) takes over", visitor.version)
                self.drains = True
                self._leaving.asked.set()
            visitor.close()
            return
        self._count += 1
        caller = Caller(
            id=f"{self._life}-{self._count}",
            person=visitor.kind == "cli",
            pid=visitor.pid,
            cwd=visitor.cwd or "",
            version=visitor.version,
        )
        guest = self._inside[visitor] = self._house.enter(caller, visitor.writer)
        gone = anyio.Event()
        visitor.listen(guest.connection.receive, gone.set)
        self._tasks.start_soon(self._see_off, visitor, guest, gone)

    async def _see_off(self, visitor: Visitor, guest: Guest, gone: anyio.Event) -> None:
        """Wait for the end of a client, let its last answers out, and let it go."""
        await gone.wait()
        with anyio.move_on_after(LAST_ANSWERS):
            await guest.connection.idle()
        try:
            self._house.leave(guest)
        except Exception:  # of one client: the others stay
            logger.exception("a client could not be seen off, in a way nobody foresaw")
        self._inside.pop(visitor, None)
        visitor.finish(LAST_ANSWERS)

    def see_everybody_off(self) -> None:
        """Answer what is asked still, and let all go: their fronts look for the next house."""
        for visitor, guest in self._inside.items():
            guest.connection.close()
            visitor.finish(LAST_ANSWERS)
        self._inside.clear()


async def _keep_log_short(log: Path) -> None:
    """Begin a new log where this one has grown too long; one old one is kept."""
    while True:
        await anyio.sleep(LOG_LOOK)
        try:
            if os.fstat(2).st_size > LOG_LIMIT:
                os.replace(log, f"{log}.1")
                fresh = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
                os.dup2(fresh, 2)
                os.close(fresh)
        except OSError:  # a full disk: nothing is written either
            pass


async def _get_ready() -> None:
    """Load what the first management call needs, once nobody waits for a first list: then that is quick, too."""
    await anyio.sleep(READY_AFTER)
    await anyio.to_thread.run_sync(importlib.import_module, REGISTRY)


def _take(place: Place) -> int | None:
    """The lock of this home; who only looks whether a house runs holds it for a moment."""
    return _in_the_home_too(place, hold_house_lock(place, LOCK_WAIT))


def _take_over(place: Place) -> int | None:
    """The lock of this home, after the house that has it was asked to make room for us."""
    if met := find(place, "successor", __version__):
        met[0].close()
    return _in_the_home_too(place, hold_house_lock(place, 2 * DRAIN))


def _in_the_home_too(place: Place, lock: int | None) -> int | None:
    """Two runtime folders for one home (another XDG_RUNTIME_DIR, another TMPDIR) would be two houses."""
    if lock is None:
        return None
    held = os.open(f"{place.home}/house.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        where = os.pread(held, 4096, 0).decode(errors="replace").strip()
        raise RendezvousError(
            f"Another house has this home and is found at {where}, not at {place.folder}: start both with the same "
            "XDG_RUNTIME_DIR and TMPDIR, or end it with `roundhouse down`."
        ) from None
    os.ftruncate(held, 0)
    os.pwrite(held, f"{place.folder}\n".encode(), 0)
    return lock
