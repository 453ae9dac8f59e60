"""Serving one client on stdin and stdout, without a house that others could share: containers, CI, read-only homes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from roundhouse import __version__
from roundhouse.app import BAD_CONFIGURATION, LAST_ANSWERS, RESERVED, Leaving, furnish, on_signals
from roundhouse.doors.stdio import StdioDoor
from roundhouse.errors import BadConfiguration, RoundhouseError
from roundhouse.house import Guest
from roundhouse.model.calls import Caller
from roundhouse.model.servers import ServerSpec
from roundhouse.operations.dispatch import definitions
from roundhouse.process.output import redact_logs
from roundhouse.process.spawn import depth
from roundhouse.rendezvous import default_home
from roundhouse.settings.file import load_servers
from roundhouse.settings.house import Settings, load_settings
from roundhouse.vault.redact import Redactor
from roundhouse.wire.stdio import Turn

if TYPE_CHECKING:
    from roundhouse.store.store import Store

DEEPEST = 2  # houses within houses; a server may well be a Roundhouse, but not without end


async def serve_standalone(config: Path | None, home: str | None, lifeline: int) -> int:
    """Serve one client on stdin and stdout until it leaves, a signal comes, or the reaper has gone.

    Args:
        config: a file whose servers are served; None: those of the home.

    Returns: the exit code.
    """
    try:
        _refuse_endless_nesting()
        if config is not None:
            specs = load_servers(config, RESERVED | definitions().keys())
            await _serve(Settings(), None, None, specs, Redactor(), lifeline)
        else:
            await _serve_home(Path(home or default_home()), lifeline)
    except RoundhouseError as bad:
        print(f"roundhouse: {bad}", file=sys.stderr)
        return BAD_CONFIGURATION
    return 0


async def _serve_home(home: Path, lifeline: int) -> None:
    from roundhouse.store.payloads import Payloads  # who serves a file has no use for SQLite
    from roundhouse.store.store import open_store

    settings, redactor = load_settings(home), Redactor()
    redact_logs(redactor.text)
    async with open_store(home, redact=redactor.text, log_payloads=Payloads(settings.log_payloads)) as store:
        await _serve(settings, store, home, None, redactor, lifeline)


async def _serve(
    settings: Settings,
    store: Store | None,
    home: Path | None,
    specs: list[ServerSpec] | None,
    redactor: Redactor,
    lifeline: int,
) -> None:
    turn, leaving = Turn(), Leaving()
    async with anyio.create_task_group() as tasks:
        house = await furnish(tasks, turn, settings, store, home, specs, redactor, leaving)
        hung_up = anyio.Event()
        door = StdioDoor(turn, left=hung_up.set)
        guest = house.enter(Caller("1", version=__version__), door.writer)
        on_signals(leaving, lifeline)
        door.listen(guest.connection.receive)
        tasks.start_soon(_leave_after, hung_up, guest, leaving)
        await leaving.asked.wait()
        with anyio.CancelScope(shield=True):
            await house.stop()
        tasks.cancel_scope.cancel()


def _refuse_endless_nesting() -> None:
    if depth() > DEEPEST:
        raise BadConfiguration(
            f"This is a Roundhouse inside {depth()} others: it seems to be among its own servers. Remove that entry."
        )


async def _leave_after(hung_up: anyio.Event, guest: Guest, leaving: Leaving) -> None:
    """The client has closed a pipe: let the last answers out, if it still reads them, and leave."""
    await hung_up.wait()
    with anyio.move_on_after(LAST_ANSWERS):
        await guest.connection.idle()
    leaving.asked.set()
