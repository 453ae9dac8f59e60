"""The stop ladder: close stdin, then SIGTERM, then SIGKILL, then whatever else the process has left anywhere.

Polite servers leave on end-of-file; others get a bounded time. Afterwards nothing that carries this life's mark, or
sits in its session, is alive: not a grandchild, not a daemon that took a session of its own.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from roundhouse.process.spawn import Child
from roundhouse.process.table import Process, descendants, kill, kill_groups, mark_of, session_of

STILL = 0.02  # seconds between two looks at stragglers
KILLED = 2.0  # seconds after SIGKILL; only a process stuck in the kernel outlasts them


@dataclass(frozen=True, slots=True)
class Graces:
    """Seconds each rung of the ladder waits."""

    stdin: float
    term: float
    stragglers: float  # for what the process left behind, after it has gone itself


ONE = Graces(stdin=2.0, term=2.0, stragglers=0.5)  # a single server: it may have something to finish
ALL = Graces(stdin=1.0, term=1.0, stragglers=0.3)  # the house leaves: the client waits two seconds, then signals us
AT_ONCE = Graces(stdin=0.0, term=0.0, stragglers=0.0)  # somebody insists


async def stop(child: Child, close_stdin: Callable[[], None], graces: Callable[[], Graces]) -> None:
    """Walk the ladder until the process and everything it started has gone. Bounded; call it shielded.

    Args:
        graces: asked at every rung, because they become shorter when the house leaves meanwhile.
    """
    close_stdin()
    if not await _exits(child, graces().stdin):
        child.signal_group(signal.SIGTERM)
        if not await _exits(child, graces().term):
            child.signal_group(signal.SIGKILL)
            await _exits(child, KILLED)
    await end_stragglers(child, graces().stragglers)


async def _exits(child: Child, within: float) -> bool:
    with anyio.move_on_after(within):
        await child.exited.wait()
    return child.exited.is_set()


async def end_stragglers(child: Child, grace: float) -> bool:
    """End what a process started and left, politely for `grace` seconds. Returns whether nothing is left."""
    left = stragglers(child)
    with anyio.move_on_after(grace):
        kill(left, signal.SIGTERM)
        while left:
            await anyio.sleep(STILL)
            left = stragglers(child)
    with anyio.move_on_after(KILLED):
        while left := stragglers(child):
            kill(left, signal.SIGKILL)
            await anyio.sleep(STILL)
    return not left


def stragglers(child: Child) -> list[Process]:
    """What is left of a life below us, besides its first process."""
    return [
        process
        for process in descendants(os.getpid())
        if process.pid != child.pid and (session_of(process) == child.pid or mark_of(process) == child.mark)
    ]


async def end_everybody(grace: float) -> None:
    """End every process below us, also those that lost our mark and their session. Bounded."""
    with anyio.move_on_after(grace):
        kill(descendants(os.getpid()), signal.SIGTERM)
        while descendants(os.getpid()):  # noqa: ASYNC110 - no event tells of other people's processes
            await anyio.sleep(STILL)
    with anyio.move_on_after(KILLED):
        while left := descendants(os.getpid()):
            kill_groups(left)
            await anyio.sleep(STILL)
