"""One instance of a server: its state, its current life, and what happens between two lives.

`run` is the owner task: it starts a life, waits for its end and does what `policy` decides. The conversation with the
coming process exists before the process does, so a call that arrives while it starts, or that starts it, is held and
not refused.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import anyio

from roundhouse.errors import Refused, RoundhouseError, ServerBusy, ServerUnavailable
from roundhouse.model.servers import ServerSpec, Start
from roundhouse.model.text import clean
from roundhouse.process.output import StderrRing
from roundhouse.process.spawn import Children
from roundhouse.process.stop import Graces
from roundhouse.supervise import policy
from roundhouse.supervise.launch import Prepared
from roundhouse.supervise.life import Life
from roundhouse.supervise.listing import Listing, list_tools
from roundhouse.supervise.slots import StartSlots
from roundhouse.supervise.states import Event, State, after
from roundhouse.supervise.words import advice, in_words
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
IDLE_LOOK = 1.0  # seconds between two looks at an instance that is past its idle time and still busy

WAITING = (State.STOPPED, State.BACKOFF, State.FAILED)  # states in which the owner task sleeps


@dataclass(frozen=True, slots=True)
class Shared:
    """What all instances of a house have in common.

    Attributes:
        turn: the turn that all pipes share.
        prepare: what exactly to run for a specification, with its secrets filled in. Raises what forbids it.
        moved: called with every change of state: instance, state before, event.
        changed: called when an instance's state or tools are different.
        received: called with a request or notification that a server sent of its own accord.
        redact: takes secrets out of what a server says.
        log: where the lines go that a server of this name writes to stderr.
        graces: how long the rungs of the stop ladder are just now; shorter when the whole house leaves.
        live: begins a life.
    """

    children: Children
    slots: StartSlots
    turn: Turn
    prepare: Callable[[ServerSpec], Awaitable[Prepared]]
    moved: Callable[[Instance, State, Event], None]
    changed: Callable[[Instance], None]
    received: Callable[[Instance, Peer, Members], None]
    redact: Callable[[bytes], bytes]
    log: Callable[[str], Callable[[bytes], None]]
    graces: Callable[[], Graces]
    live: Callable[..., Life] = Life


class Instance:
    """One instance in the house. `run` owns it; everything else asks, and returns at once.

    Args:
        key: what tells it from other instances of the same server.
        client: the only client it serves; empty where several may share it.
        in_use: whether a client is connected that relies on what it remembers; then it does not stop for being idle.
    """

    def __init__(
        self,
        spec: ServerSpec,
        profile: Profile,
        shared: Shared,
        *,
        key: str,
        client: str,
        in_use: Callable[[Instance], bool],
    ) -> None:
        self.spec = spec
        self.key = key
        self.client = client
        self.profile = profile
        self.state = State.STOPPED
        self.reason = "it is disabled in the configuration" if spec.disabled else ""
        self.since = anyio.current_time()
        self.last_used = self.since
        self.callers: Counter[str] = Counter()  # clients with calls in flight
        self.users: set[str] = set()  # clients that ever called it
        self.asks = False  # it has asked its client for something, so it may remember whose it is
        self.listing = Listing()
        self.capabilities: Members = {}
        self.restarts = 0
        self.counts: Counter[str] = Counter()  # of messages from it that were of no use, over all its lives
        self.stderr = StderrRing(shared.redact, shared.log(spec.name))
        self._now = asyncio.get_running_loop().time  # anyio's clock, without its detours: this is asked with every call
        self._shared = shared
        self._in_use = in_use
        self._wanted = False
        self._held_down = False  # somebody stopped it: only somebody starts it again
        self._learning = False  # it runs only to say what it offers
        self._retry_at = math.inf  # when a call may try again what has failed
        self._refusal: RoundhouseError | None = None  # what forbids its start, with a code of its own
        self._life: Life | None = None
        self._peer = self._new_peer()
        self._scope: anyio.CancelScope | None = None
        self._woken = anyio.Event()
        self._changed = anyio.Event()
        self._waiters: list[tuple[frozenset[State], anyio.Event]] = []
        self._relist = anyio.Event()
        self._in_trouble = anyio.Event()
        self._trouble_reason = ""
        self._ends: deque[float] = deque(maxlen=4 * policy.RESTARTS_ALLOWED)
        self._streak = 0
        self._delay = 0.0
        self._next_start = math.inf
        self._last_chance = False
        self._level: Members | None = None
        self._told_level: Members | None = None  # the one its present life was told

    # -- what others ask

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """Of the running process, None where there is none."""
        return self._life.pid if self._life else None

    @property
    def answered(self) -> float:
        """When it last answered anything, on the clock of the loop; minus infinity: never."""
        return self._peer.answered

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be expected of its start for now."""
        return self.state not in (State.STARTING, State.STOPPING) and not (self.state is State.STOPPED and self._wanted)

    @property
    def usable(self) -> bool:
        """Whether its tools can be called now or in a moment."""
        if self.state is State.FAILED:
            return False
        return self.state in (State.STARTING, State.READY, State.DEGRADED) or self._starts_by_itself

    @property
    def due(self) -> bool:
        """Whether it has failed, and a call may try again."""
        return self.state is State.FAILED and self._starts_by_itself

    @property
    def call_timeout(self) -> float:
        """Seconds a call of one of its tools may take."""
        return self.spec.call_timeout

    @property
    def busy(self) -> bool:
        """Whether a client's call is under way, or waits for it to start."""
        return bool(self.callers)

    async def settle(self) -> None:
        """Wait until `settled`. The caller bounds the wait."""
        while not self.settled:
            await self._changed.wait()

    def conversation(self) -> Peer:
        """The peer to send a call to. While the server starts, it holds the call; where a call may start it, it does.

        Raises: the reason and what to do, when the call had better fail now.
        """
        self.last_used = now = self._now()
        self._learning = False
        if self.state in (State.READY, State.STARTING):
            return self._peer
        if self.state is State.BACKOFF and self._next_start - now <= HELD_DELAY:
            return self._peer
        if self._starts_by_itself:
            self._want()
            return self._peer
        raise self.unavailable("no")

    def unavailable(self, sent: str) -> RoundhouseError:
        """Why a call cannot be taken or finished, and the next step."""
        if self._refusal and self.state is State.FAILED:
            return self._refusal
        because = f": {self.reason.removesuffix('.')}" if self.reason else ""
        wait = max(0.0, self._next_start - anyio.current_time())
        return ServerUnavailable(
            f"The server {self.name!r} {in_words(self.state)}{because}. {advice(self.spec, self.state, wait)}",
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
        told = self._told_level == params or "logging" not in self.capabilities
        if self.state in (State.READY, State.DEGRADED) and not told:
            self._told_level = params
            with suppress(ServerBusy):
                self._peer.request("logging/setLevel", join(params), lambda answer: None, timeout=PROBE_TIMEOUT)

    def start(self) -> None:
        """Want it running. Ends a wait, and forgives what led to FAILED."""
        if self.state in WAITING:
            self._forgive()
        self._want()

    def learn(self) -> None:
        """Start it to see what it offers; where nothing else wants it meanwhile, it stops again."""
        if self.state in (State.STOPPED, State.FAILED) and not self._held_down:
            self._want()
            self._learning = self.spec.start is Start.ON_DEMAND

    def stop(self) -> None:
        """Want it stopped, whatever it is doing, until somebody starts it."""
        self._wanted, self._held_down = False, True
        self._interrupt("on request")

    def release(self) -> None:
        """Take back a `stop`: it starts as it did before, by a call or at once."""
        if self._held_down:
            self._held_down = False
            if self.spec.start is Start.ALWAYS and not self.spec.disabled:
                self.start()

    def restart(self) -> None:
        """End its process, if it has one, and start anew with a clean record."""
        self._forgive()
        if self._life:
            self._interrupt("it is being restarted")
        self._want()

    def abandon(self) -> None:
        """Its owner task has failed, after it had ended the process: whoever waits learns so."""
        self._wanted, self._scope = False, None
        self._move(Event.STOP, "Roundhouse failed to look after it; the log of the house says where")
        self._renew(self.unavailable)

    def trouble(self, reason: str) -> None:
        """It was found not to answer, though it lives: its calls fail fast until it answers probes again."""
        self._trouble_reason = reason
        self._in_trouble.set()

    async def ask(self, method: str, timeout: float) -> Members:
        """Ask it something of no consequence. Raises: why there is no answer."""
        return await self._peer.ask(method, None, timeout=timeout)

    def under_way(self, client: str) -> Callable[[], None]:
        """Note a call of this client. Returns what ends the note."""
        self.callers[client] += 1
        self.users.add(client)

        def over() -> None:
            self.last_used = self._now()
            self.callers[client] -= 1
            if not self.callers[client]:
                del self.callers[client]

        return over

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

    async def gone(self) -> None:
        """Wait until it is stopped and its last process has gone, with all that it started."""
        await self.reached(State.STOPPED)
        while self.state is State.STOPPED and self._life:  # it ended by itself, and is being cleaned up
            await self._changed.wait()

    # -- the owner task

    async def run(self) -> None:
        """Own it until cancelled."""
        while True:
            self._move(Event.GONE, self.reason)
            if self._wanted:
                with anyio.CancelScope() as self._scope:
                    while self._wanted:
                        await self._live()
                        if self._wanted:
                            await self._wait_for_next()
                self._scope = None
            else:
                await self._woken.wait()
                self._woken = anyio.Event()

    async def _live(self) -> None:
        """One life: start, serve, and the decision what follows. What it leaves behind is ended in every case."""
        if self.state is not State.STARTING:
            self._begin(Event.START if self.state is State.STOPPED else Event.TIMER)
        self._woken = anyio.Event()
        self._relist = anyio.Event()
        self._refusal = None
        ready_at = math.inf
        life: Life | None = None
        try:
            async with self._shared.slots.take():
                prepared = await self._shared.prepare(self.spec)
                life = self._life = self._shared.live(
                    self.name,
                    prepared,
                    self._peer,
                    children=self._shared.children,
                    turn=self._shared.turn,
                    stderr=self.stderr,
                )
                self.listing = await life.open(self.profile, self._start_timeout())
            self.capabilities = life.capabilities
            ready_at = anyio.current_time()
            self._last_chance = False
            self._told_level = None
            self._move(Event.LISTED)
            self._peer.open()
            if self._level:
                self.set_level(self._level)
            await self._serve(life)
            self._ended(life.cause, ready_at, await life.end_its_readers() if self._peer.has_sent else math.inf)
        except Refused as refused:
            self._refusal = refused if refused.code != Refused.code else None
            self._fail(Event.REFUSED, str(refused), retry_after=math.inf)
            if self._refusal and self.spec.start is Start.ON_DEMAND:
                self._retry_at = anyio.current_time()  # a person may have done what was missing: a call looks again
        except RoundhouseError as failed:
            if self.state is State.STOPPING:  # what failed is what the stop took away
                return
            self._ended(life.cause if life and life.cause else str(failed), ready_at)
        finally:
            if life:
                with anyio.CancelScope(shield=True):
                    await life.close(self._shared.graces)
                self._life = None
                self._tell()

    async def _serve(self, life: Life) -> None:
        """READY until it is over."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_listed)
            tasks.start_soon(self._recover_when_troubled, life)
            tasks.start_soon(self._leave_when_idle)
            await life.over.wait()
            tasks.cancel_scope.cancel()

    async def _leave_when_idle(self) -> None:
        """Stop once nobody has needed it for long; one that only had to say what it offers, at once."""
        while not (self._learning and not self.busy):
            allowed = self.spec.idle_stop if self.spec.start is Start.ON_DEMAND else 0.0
            left = self.last_used + (allowed or math.inf) - anyio.current_time()
            if left > 0:
                await anyio.sleep(min(left, IDLE_LOOK * 60))
            elif self.busy or self._in_use(self):
                await anyio.sleep(IDLE_LOOK)
            else:
                break
        reason = "it is started by the first call" if self._learning else "nobody has called it for a while"
        self._wanted = self._learning = False
        self._interrupt(reason)

    async def _keep_listed(self) -> None:
        while True:
            await self._relist.wait()
            self._relist = anyio.Event()
            try:
                listing = await list_tools(self._peer, self.capabilities)
                self.listing = replace(listing, instructions=self.listing.instructions)
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
            self._move(Event.TROUBLED, self._trouble_reason)
            good, last_good = 0, anyio.current_time()
            while good < PROBES_NEEDED:
                await anyio.sleep(PROBE_EVERY)
                try:
                    await self._peer.ask("ping", None, timeout=PROBE_TIMEOUT)
                    good, last_good = good + 1, anyio.current_time()
                except RoundhouseError:
                    good = 0
                if self.busy:
                    # a tool that keeps its server from answering probes may still finish: calls have deadlines
                    last_good = anyio.current_time()
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
        if self.state in (State.READY, State.DEGRADED) and policy.unused(self.spec.start, self.busy):
            logger.info("%s ended while nobody used it: %s", self.name, cause)
            self._wanted = False
            self._move(Event.UNUSED, cause)
            self._renew(self.unavailable)
            return
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
                    self._renew(self.unavailable)
            case policy.GiveUp(because, retry_after):
                self._move(Event.ENDED, cause)
                self._fail(Event.EXHAUSTED, f"{cause}; {because}", retry_after=retry_after)
                self._last_chance = True

    def _fail(self, event: Event, reason: str, *, retry_after: float) -> None:
        at = anyio.current_time() + retry_after
        self._next_start, self._retry_at = (at, math.inf) if self.spec.start is Start.ALWAYS else (math.inf, at)
        self.listing = Listing()
        self._move(event, reason)
        logger.error("%s failed: %s", self.name, reason)
        self._renew(self.unavailable)

    def _want(self) -> None:
        self._wanted, self._held_down, self._learning = True, False, False
        self.last_used = anyio.current_time()
        if self.state in WAITING:
            self._begin(Event.TIMER if self.state is State.BACKOFF else Event.START)

    def _begin(self, event: Event) -> None:
        """Be STARTING from now on: calls are held, and the owner task makes it true."""
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
        self._renew(self.unavailable)
        if self._scope:
            self._scope.cancel()

    @property
    def _starts_by_itself(self) -> bool:
        """Whether a call may start it now."""
        if self._held_down or self.spec.disabled:
            return False
        due = self.state is State.FAILED and anyio.current_time() >= self._retry_at
        return due or self.state in (State.STOPPED, State.STOPPING)

    def _renew(self, because: Callable[[str], RoundhouseError]) -> None:
        """End the conversation for good, and have the next one ready for calls to wait in."""
        old, self._peer = self._peer, self._new_peer()
        old.close(because)

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

    def _new_peer(self) -> Peer:
        peer = Peer(
            self.name,
            received=lambda message: self._shared.received(self, peer, message),
            troubled=lambda error: self._trouble(peer),
            rubbish=lambda bad, frame, request_id: None,
            redact=self._shared.redact,
            counts=self.counts,
        )
        return peer

    def _trouble(self, peer: Peer) -> None:
        if peer.troubles >= policy.TROUBLES_ALLOWED:
            self.trouble(f"{policy.TROUBLES_ALLOWED} calls in a row got no readable answer")

    def _move(self, event: Event, reason: str = "") -> None:
        state = after(self.state, event)
        if state is not self.state:
            logger.info("%s: %s -> %s (%s)%s", self.name, self.state, state, event, f": {reason}" if reason else "")
            before, self.state, self.since = self.state, state, anyio.current_time()
            self.reason = clean(self._shared.redact(reason.encode(errors="replace")).decode(errors="replace"))
            self._shared.moved(self, before, event)
            for states, arrived in self._waiters:
                if state in states:
                    arrived.set()
            self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        self._shared.changed(self)
