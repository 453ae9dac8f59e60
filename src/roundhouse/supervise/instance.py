"""One server as the house sees it: its state, its current life, and what happens between two lives.

`run` is the owner task: it starts a life, waits for its end and does what `policy` decides. The conversation with the
coming process exists before the process does, so a call that arrives while it starts is held, not refused.
"""

from __future__ import annotations

import logging
import math
import os
import random
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import anyio

from roundhouse.errors import RoundhouseError, ServerBusy, ServerUnavailable
from roundhouse.model.servers import ServerSpec
from roundhouse.model.text import clean
from roundhouse.process.output import StderrRing
from roundhouse.process.spawn import Children
from roundhouse.process.stop import Graces
from roundhouse.supervise import policy
from roundhouse.supervise.life import Life, Refused
from roundhouse.supervise.listing import Listing, list_tools
from roundhouse.supervise.slots import StartSlots
from roundhouse.supervise.states import Event, State, after
from roundhouse.wire.envelope import Members, join
from roundhouse.wire.eras import Profile
from roundhouse.wire.peer import Peer
from roundhouse.wire.stdio import Turn

logger = logging.getLogger(__name__)

HELD_DELAY = 5.0  # seconds of back-off a call waits through; where more are to come it fails at once and says so
INSTALL_ALLOWANCE = 300.0  # seconds more for commands that may have to download the server first
PACKAGE_RUNNERS = frozenset({"uvx", "uv", "npx", "npm", "pnpm", "yarn", "bunx", "pipx", "docker", "podman", "deno"})
PROBE_EVERY = 1.0  # seconds between half-open probes of a degraded server
PROBE_TIMEOUT = 5.0  # seconds
PROBES_NEEDED = 2  # answered in a row
DEGRADED_LIMIT = 60.0  # seconds without a success until the process is replaced
RELIST_GAP = 0.1  # seconds; a server that announces each of 100 new tools is asked once

IN_WORDS = {
    State.STOPPED: "is stopped",
    State.STARTING: "is still starting",
    State.READY: "is ready",
    State.DEGRADED: "is degraded",
    State.BACKOFF: "is down for the moment",
    State.FAILED: "has failed",
    State.STOPPING: "is stopping",
}
WAITING = (State.STOPPED, State.BACKOFF, State.FAILED)  # states in which the owner task sleeps


@dataclass(frozen=True, slots=True)
class Shared:
    """What all instances of a house have in common.

    Attributes:
        turn: the turn that all pipes share.
        changed: called when an instance's state or tools are different.
        received: called with a request or notification that a server sent of its own accord.
        graces: how long the rungs of the stop ladder are just now; shorter when the whole house leaves.
    """

    children: Children
    slots: StartSlots
    turn: Turn
    changed: Callable[[Instance], None]
    received: Callable[[Instance, Peer, Members], None]
    graces: Callable[[], Graces]


class Instance:
    """A server in the house. `run` owns it; everything else asks, and returns at once."""

    def __init__(self, spec: ServerSpec, profile: Profile, shared: Shared) -> None:
        self.spec = spec
        self.state = State.STOPPED
        self.reason = "it is disabled in the configuration" if spec.disabled else ""
        self.since = anyio.current_time()
        self.listing = Listing()
        self.capabilities: Members = {}
        self.restarts = 0
        self.counts: Counter[str] = Counter()  # of messages from it that were of no use, over all its lives
        self.stderr = StderrRing()
        self._profile = profile
        self._shared = shared
        self._wanted = not spec.disabled
        self._life: Life | None = None
        self._peer = self._new_peer()
        self._scope: anyio.CancelScope | None = None
        self._woken = anyio.Event()
        self._changed = anyio.Event()
        self._waiters: list[tuple[frozenset[State], anyio.Event]] = []
        self._relist = anyio.Event()
        self._in_trouble = anyio.Event()
        self._ends: deque[float] = deque(maxlen=4 * policy.RESTARTS_ALLOWED)
        self._streak = 0
        self._delay = 0.0
        self._next_start = math.inf
        self._last_chance = False
        self._level: Members | None = None

    # -- what others ask

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """Of the running process, None where there is none."""
        return self._life.pid if self._life else None

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be expected of its start for now."""
        return self.state not in (State.STARTING, State.STOPPING) and not (self.state is State.STOPPED and self._wanted)

    @property
    def usable(self) -> bool:
        """Whether its tools can be called now or in a moment."""
        return self.state in (State.STARTING, State.READY, State.DEGRADED)

    @property
    def call_timeout(self) -> float:
        """Seconds a call of one of its tools may take."""
        return self.spec.call_timeout

    async def settle(self) -> None:
        """Wait until `settled`. The caller bounds the wait."""
        while not self.settled:
            await self._changed.wait()

    def conversation(self) -> Peer:
        """The peer to send a call to. While the server starts, it holds the call.

        Raises: `ServerUnavailable`, with the reason and what to do, when the call had better fail now.
        """
        if self.state in (State.READY, State.STARTING):
            return self._peer
        if self.state is State.BACKOFF and self._next_start - anyio.current_time() <= HELD_DELAY:
            return self._peer
        raise self.unavailable("no")

    def unavailable(self, sent: str) -> ServerUnavailable:
        """Why a call cannot be taken or finished, and the next step."""
        because = f": {self.reason.removesuffix('.')}" if self.reason else ""
        return ServerUnavailable(
            f"The server {self.name!r} {IN_WORDS[self.state]}{because}. {self._next_step()}",
            server=self.name,
            sent=sent,
            stderr=() if self.state in (State.STOPPED, State.STOPPING) else self.stderr.last_words(),
            state=self.state.value,
        )

    def announce(self, method: str) -> None:
        """Send it a notification, if it is there to hear it."""
        if self.state in (State.READY, State.DEGRADED):
            self._peer.notify(method)

    def set_level(self, params: Members) -> None:
        """Tell it from which level on to log, now and in its next lives, if it logs at all."""
        self._level = params
        if self.state in (State.READY, State.DEGRADED) and "logging" in self.capabilities:
            with suppress(ServerBusy):
                self._peer.request("logging/setLevel", join(params), lambda answer: None, timeout=PROBE_TIMEOUT)

    def start(self) -> None:
        """Want it running. Ends a wait, and forgives what led to FAILED."""
        self._wanted = True
        if self.state in WAITING:
            self._forgive()
            self._begin(Event.TIMER if self.state is State.BACKOFF else Event.START)

    def stop(self) -> None:
        """Want it stopped, whatever it is doing."""
        self._wanted = False
        self._interrupt("on request")

    def restart(self) -> None:
        """End its process, if it has one, and start anew with a clean record."""
        self._wanted = True
        self._forgive()
        if self._life:
            self._interrupt("it is being restarted")
        elif self.state in WAITING:
            self._begin(Event.TIMER if self.state is State.BACKOFF else Event.START)

    def kill(self) -> None:
        """Skip the polite part of a stop under way."""
        if self._life:
            self._life.kill()

    def relist(self) -> None:
        """Its tools have changed: ask for them again soon."""
        self._relist.set()

    async def reached(self, *states: State) -> None:
        """Wait until it is in one of these states, or has passed through one. The caller bounds the wait."""
        if self.state in states:
            return
        waiter = (frozenset(states), anyio.Event())
        self._waiters.append(waiter)
        try:
            await waiter[1].wait()
        finally:
            self._waiters.remove(waiter)

    # -- the owner task

    async def run(self) -> None:
        """Own it until cancelled."""
        while True:
            if self._wanted:
                with anyio.CancelScope() as self._scope:
                    while True:
                        await self._live()
                        await self._wait_for_next()
                self._scope = None
            self._move(Event.GONE, self.reason)
            if not self._wanted:
                await self._woken.wait()
                self._woken = anyio.Event()

    async def _live(self) -> None:
        """One life: start, serve, and the decision what follows. What it leaves behind is ended in every case."""
        if self.state is not State.STARTING:
            self._begin(Event.START if self.state is State.STOPPED else Event.TIMER)
        self._woken = anyio.Event()
        self._relist = anyio.Event()
        ready_at = math.inf
        life: Life | None = None
        try:
            async with self._shared.slots.take():
                life = self._life = Life(
                    self.spec,
                    self._peer,
                    children=self._shared.children,
                    turn=self._shared.turn,
                    stderr=self.stderr,
                )
                self.listing = await life.open(self._profile, self._start_timeout())
            self.capabilities = life.capabilities
            ready_at = anyio.current_time()
            self._last_chance = False
            self._move(Event.LISTED)
            self._peer.open()
            if self._level:
                self.set_level(self._level)
            await self._serve(life)
            self._ended(life.cause, ready_at, await life.end_its_readers() if self._peer.has_sent else math.inf)
        except Refused as refused:
            self._fail(Event.REFUSED, str(refused), retry_after=math.inf)
        except RoundhouseError as failed:
            if self.state is State.STOPPING:  # what failed is what the stop took away
                return
            self._ended(life.cause if life and life.cause else str(failed), ready_at)
        finally:
            if life:
                with anyio.CancelScope(shield=True):
                    await life.close(self._shared.graces)
                self._life = None

    async def _serve(self, life: Life) -> None:
        """READY until it is over."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_listed)
            tasks.start_soon(self._recover_when_troubled, life)
            await life.over.wait()
            tasks.cancel_scope.cancel()

    async def _keep_listed(self) -> None:
        while True:
            await self._relist.wait()
            self._relist = anyio.Event()
            try:
                self.listing = await list_tools(self._peer, self.capabilities)
            except RoundhouseError as failed:
                logger.warning("%s: its changed tools could not be listed, the old list stays: %s", self.name, failed)
            else:
                self._tell()
            await anyio.sleep(RELIST_GAP)

    async def _recover_when_troubled(self, life: Life) -> None:
        """Fail fast after too much trouble; back by two probes in a row, or out when none succeeds."""
        while True:
            self._in_trouble = anyio.Event()
            await self._in_trouble.wait()
            self._move(Event.TROUBLED, f"{policy.TROUBLES_ALLOWED} calls in a row got no readable answer")
            good, last_good = 0, anyio.current_time()
            while good < PROBES_NEEDED:
                await anyio.sleep(PROBE_EVERY)
                try:
                    await self._peer.ask("ping", None, timeout=PROBE_TIMEOUT)
                    good, last_good = good + 1, anyio.current_time()
                except RoundhouseError:
                    good = 0
                if anyio.current_time() - last_good > DEGRADED_LIMIT:
                    life.lose(f"it answered no probe for {DEGRADED_LIMIT:.0f} s")
                    return
            self._move(Event.RECOVERED)

    async def _wait_for_next(self) -> None:
        with anyio.CancelScope(deadline=self._next_start):
            await self._woken.wait()

    # -- decisions

    def _ended(self, cause: str, ready_at: float, read: float = math.inf) -> None:
        """An end nobody asked for: fail what was in flight, then wait or give up.

        Args:
            read: bytes of what it was sent that it can have read; calls behind them are kept for its next life.
        """
        now = anyio.current_time()
        self._ends.append(now)
        self._streak = 1 if policy.steady(now - ready_at, self._delay) else self._streak + 1
        logger.warning("%s ended: %s", self.name, cause)
        match policy.after_end(
            self._ends, now, streak=self._streak, last_chance=self._last_chance, random=random.uniform
        ):
            case policy.Restart(delay):
                self._delay, self._next_start = delay, now + delay
                self.restarts += 1
                self._move(Event.ENDED, cause)
                if ready_at < math.inf:
                    self._peer.lose(self._lost, read)
                else:  # it never came up: who waited for that learns why
                    self._peer.close(self.unavailable)
                    self._peer = self._new_peer()
            case policy.GiveUp(because, retry_after):
                self._move(Event.ENDED, cause)
                self._fail(Event.EXHAUSTED, f"{cause}; {because}", retry_after=retry_after)
                self._last_chance = True

    def _fail(self, event: Event, reason: str, *, retry_after: float) -> None:
        self._next_start = anyio.current_time() + retry_after
        self.listing = Listing()
        self._move(event, reason)
        logger.error("%s failed: %s", self.name, reason)
        self._peer.close(self.unavailable)

    def _begin(self, event: Event) -> None:
        """Be STARTING from now on: calls are held, and the owner task makes it true."""
        if self.state is not State.BACKOFF:
            self._peer = self._new_peer()
        self._move(event)
        self._woken.set()

    def _forgive(self) -> None:
        self._ends.clear()
        self._streak = 0
        self._last_chance = False

    def _interrupt(self, reason: str) -> None:
        """End the life or the wait under way, because somebody wants it."""
        if self.state is State.STOPPED and not self._scope:
            return
        self.listing = Listing()
        self._move(Event.STOP, reason)
        self._peer.close(self.unavailable)
        if self._scope:
            self._scope.cancel()

    # -- small things

    def _lost(self, sent: str) -> ServerUnavailable:
        """The error of a call that was in flight when the process went."""
        return ServerUnavailable(
            f"The server {self.name!r} went away during the call: {self.reason.removesuffix('.')}. "
            "It may or may not have done its work; look before you call again.",
            server=self.name,
            sent=sent,
            stderr=self.stderr.last_words(),
        )

    def _start_timeout(self) -> float:
        runner = os.path.basename(self.spec.command) in PACKAGE_RUNNERS
        return self.spec.start_timeout + (INSTALL_ALLOWANCE if runner else 0.0)

    def _next_step(self) -> str:
        match self.state:
            case State.STOPPED | State.STOPPING:
                return f'Start it with start_server {{"name": "{self.name}"}}.'
            case State.BACKOFF:
                wait = max(0.0, self._next_start - anyio.current_time())
                return f"It is started again in {wait:.0f} s; call then, or see read_logs."
            case State.STARTING:
                return f'Call again, or see read_logs {{"name": "{self.name}"}} for what it waits for.'
            case State.FAILED if self.spec.problems:
                return (
                    "Correct its entry in the configuration file, then restart Roundhouse, which reads it at its start."
                )
            case State.DEGRADED:
                return "It is being probed and comes back by itself if it answers; call again in a few seconds."
            case _:
                return (
                    f'Mend the cause (read_logs {{"name": "{self.name}"}} shows its output), '
                    f'then restart_server {{"name": "{self.name}"}}.'
                )

    def _new_peer(self) -> Peer:
        peer = Peer(
            self.name,
            received=lambda message: self._shared.received(self, peer, message),
            troubled=lambda error: self._trouble(peer),
            rubbish=lambda bad, frame, request_id: None,
            counts=self.counts,
        )
        return peer

    def _trouble(self, peer: Peer) -> None:
        if peer.troubles >= policy.TROUBLES_ALLOWED:
            self._in_trouble.set()

    def _move(self, event: Event, reason: str = "") -> None:
        state = after(self.state, event)
        if state is not self.state:
            logger.info("%s: %s -> %s (%s)%s", self.name, self.state, state, event, f": {reason}" if reason else "")
            self.state, self.since = state, anyio.current_time()
            self.reason = clean(reason)
            for states, arrived in self._waiters:
                if state in states:
                    arrived.set()
            self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        self._shared.changed(self)
