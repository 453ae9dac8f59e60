"""Instances whose processes a test plays: states, conversation and policy are real, processes and time are not.

A `Stage` is all that an instance has of a house. How its processes behave is said by `Stage.manners`, at any time. It
checks whatever happens on it: every step of an instance is in the table, and no second process is started beside one
that has not gone.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import anyio

from roundhouse.errors import RoundhouseError
from roundhouse.model.servers import ServerSpec
from roundhouse.process.spawn import Children
from roundhouse.process.stop import ONE, Graces
from roundhouse.supervise.instance import Instance, Shared
from roundhouse.supervise.launch import Prepared
from roundhouse.supervise.life import Life
from roundhouse.supervise.slots import StartSlots
from roundhouse.supervise.states import TRANSITIONS, Event, State
from roundhouse.wire.envelope import Members, Parts
from roundhouse.wire.eras import PLAIN, Profile
from roundhouse.wire.peer import Peer
from roundhouse.wire.stdio import Turn
from tests.health.clock import Clock

MOMENT = 0.001  # seconds in which everything happens that takes no time

Message = dict[str, Any]


@dataclass
class Manners:
    """How processes behave from now on. Times are seconds; None: never.

    Attributes:
        barred: what forbids the start.
        preparing: until it is known what to run.
        greeting, listing, ping, call: until it answers `initialize`, `tools/list`, `ping`, `tools/call`.
        refuses: it answers `initialize` with an error.
        reads: what it is sent does not stay in its pipe.
        dies: after its start, by itself.
        leaving: from the closing of its stdin until it and what it started have gone.
        remains: until what a dead one left behind is killed.
    """

    barred: RoundhouseError | None = None
    preparing: float = 0.0
    greeting: float | None = 0.02
    listing: float | None = 0.01
    ping: float | None = 0.001
    call: float | None = 0.001
    refuses: bool = False
    reads: bool = True
    dies: float | None = None
    leaving: float = 0.01
    remains: float = 0.0


@dataclass(frozen=True, slots=True)
class Move:
    """A step of an instance."""

    at: float
    name: str
    before: State
    event: Event
    after: State


class FakeLife(Life):
    """A process that is none, and the writer of its stdin. The handshake is the real one, over the real peer."""

    def __init__(self, stage: Stage, name: str, peer: Peer) -> None:
        self.stage = stage
        self.name = name
        self.began = anyio.current_time()
        self.over = anyio.Event()
        self.cause = ""
        self.capabilities = {}
        self.silent = False  # it lives and reads, and answers nothing any more
        self.closing = False  # nobody wants it any more
        self.closed = False  # it has gone, and everything it started
        self.code: int | None = None
        self.accepted = self.read = self.queued = 0  # bytes
        self.back_pressure = False
        self.asked: list[tuple[float, str]] = []  # when it has read a request, and of which method
        self.waiting: list[Message] = []  # requests that it does not answer by itself
        self._number = len(stage.lives) + 1
        self._name = name
        self._peer = peer
        self._instructions = ""
        self._opening: anyio.CancelScope | None = None
        self._exited = anyio.Event()
        self._pipe: list[bytes] = []
        peer.connect(self)
        if stage.manners.dies is not None:
            asyncio.get_running_loop().call_later(stage.manners.dies, self.exit, 7)

    @property
    def pid(self) -> int:
        return self._number

    # -- what a test does to it

    def exit(self, code: int) -> None:
        """Leave, with this exit code."""
        if self.code is None:
            self.code = code
            self._exited.set()
            self._conclude()

    def answer(self, method: str) -> None:
        """Answer every request of this method that is waiting for it."""
        ready = [message for message in self.waiting if message["method"] == method]
        self.waiting = [message for message in self.waiting if message["method"] != method]
        for message in ready:
            self._answer(message)

    def read_on(self) -> None:
        """Read what is in the pipe."""
        while self._pipe and not self.over.is_set():
            data = self._pipe.pop(0)
            self.read += len(data)
            self._heard(json.loads(data))

    # -- what an instance does to it, besides the real `open` and `lose`

    def write(self, parts: Parts, size: int) -> None:
        self.accepted += size
        if not self.over.is_set():
            self._pipe.append(b"".join(map(bytes, parts)))
            if self.stage.manners.reads:
                self.read_on()

    async def end_its_readers(self) -> float:
        if self.code is None or self.read == self.accepted:
            return math.inf
        await anyio.sleep(self.stage.manners.remains)
        return self.read

    async def close(self, graces: Callable[[], Graces]) -> None:
        self.closing = True
        with anyio.move_on_after(self.stage.manners.leaving):
            await self._exited.wait()
        self.exit(0)
        self.closed = True

    def kill(self) -> None:
        self.exit(-9)

    def _conclude(self) -> None:
        if self.over.is_set():
            return
        if self.code is not None:
            self.cause = f"it exited with code {self.code}"
        self.over.set()
        if self._opening:
            self._opening.cancel()

    def _heard(self, message: Message) -> None:
        if "id" not in message:
            return
        method = message["method"]
        self.asked.append((anyio.current_time(), method))
        if method == "tools/call":
            self.stage.carried_out[message["params"]["name"]] += 1
        manners = self.stage.manners
        times = {"initialize": manners.greeting, "tools/list": manners.listing, "ping": manners.ping}
        after = times.get(method, manners.call)
        if after is None:
            self.waiting.append(message)
        else:
            asyncio.get_running_loop().call_later(after, self._answer, message)

    def _answer(self, message: Message) -> None:
        if self.silent or self.over.is_set():
            return
        body: Message = {"result": {"tools": [{"name": "echo"}], "capabilities": {"tools": {}}, "content": []}}
        if message["method"] == "initialize" and self.stage.manners.refuses:
            body = {"error": {"code": -32000, "message": "no licence found"}}
        self._peer.receive(json.dumps({"jsonrpc": "2.0", "id": message["id"], **body}).encode())


class Call:
    """A tool call as the switch makes it."""

    def __init__(self, stage: Stage, instance: Instance, client: str = "a client") -> None:
        self.name = f"call-{next(stage.names)}"
        self.deadline = anyio.current_time() + instance.call_timeout
        self.answers: list[Members | RoundhouseError] = []
        self.cancelled = False
        try:
            self._peer = instance.conversation()
        except RoundhouseError as refused:
            self.answers.append(refused)
            return
        self._over = instance.under_way(client)
        self._key = self._peer.new_id()
        try:
            params = [json.dumps({"name": self.name}).encode()]
            self._peer.request(
                "tools/call", params, self._answered, timeout=instance.call_timeout, request_id=self._key
            )
        except RoundhouseError as refused:
            self._answered(refused)

    @property
    def answered(self) -> bool:
        return bool(self.answers)

    @property
    def error(self) -> RoundhouseError:
        """The failure that answered it."""
        (answer,) = self.answers
        assert isinstance(answer, RoundhouseError), answer
        return answer

    @property
    def succeeded(self) -> bool:
        """Whether its answer is one that a process gave."""
        return bool(self.answers) and not isinstance(self.answers[0], RoundhouseError)

    def cancel(self) -> None:
        """Its client does not wait any more."""
        if not self.answered and not self.cancelled:
            self.cancelled = True
            self._over()
            self._peer.cancel(self._key, {})

    def _answered(self, got: Members | RoundhouseError) -> None:
        if not self.cancelled:
            self._over()
        self.answers.append(got)


class Stage:
    """What instances need of a house.

    Args:
        own: starts the owner task of an instance.
        slots: how many may start at a time.
    """

    def __init__(self, own: Callable[[Instance], object], slots: int = 1000) -> None:
        self.manners = Manners()
        self.lives: list[FakeLife] = []
        self.moves: list[Move] = []
        self.carried_out: Counter[str] = Counter()  # calls that a process has read, by the call's name
        self.in_use = False
        self.names = iter(range(10**9))
        self.moved: Callable[[Instance, State], object] = lambda instance, before: None
        self._own = own
        self._shared = Shared(
            children=cast(Children, None),  # nothing is ever spawned
            slots=StartSlots(slots),
            turn=Turn(),
            prepare=self._prepare,
            moved=self._note,
            changed=lambda instance: None,
            received=lambda instance, peer, message: None,
            redact=bytes,
            log=lambda name: lambda line: None,
            graces=lambda: ONE,
            live=self._live,
        )

    def instance(self, spec: ServerSpec, profile: Profile = PLAIN, *, key: str = "", client: str = "") -> Instance:
        """An instance, owned."""
        made = Instance(spec, profile, self._shared, key=key, client=client, in_use=lambda instance: self.in_use)
        self._own(made)
        return made

    def add(self, name: str = "a", **spec: Any) -> Instance:
        """An instance of a server of its own."""
        return self.instance(ServerSpec(name, command="played", **spec))

    def call(self, instance: Instance, client: str = "a client") -> Call:
        return Call(self, instance, client)

    def living(self, name: str = "a") -> list[FakeLife]:
        """Lives of a server that have not gone."""
        return [life for life in self.lives if life.name == name and not life.closed]

    def life(self, name: str = "a") -> FakeLife:
        """The one there is."""
        (life,) = self.living(name)
        return life

    async def _prepare(self, spec: ServerSpec) -> Prepared:
        await anyio.sleep(self.manners.preparing)
        if self.manners.barred:
            raise self.manners.barred
        return Prepared((spec.command,), {}, None)

    def _live(self, name: str, prepared: Prepared, peer: Peer, **_: Any) -> FakeLife:
        assert not self.living(name), "a second process beside one that has not gone"
        self.lives.append(FakeLife(self, name, peer))
        return self.lives[-1]

    def _note(self, instance: Instance, before: State, event: Event) -> None:
        assert TRANSITIONS[before, event] is instance.state
        last = next((move.after for move in reversed(self.moves) if move.name == instance.name), State.STOPPED)
        assert before is last
        self.moves.append(Move(anyio.current_time(), instance.name, before, event, instance.state))
        self.moved(instance, before)


def on_stage(scene: Callable[[Stage], Awaitable[None]], *, slots: int = 1000) -> Stage:
    """Play a scene, and return the stage as it was at its end."""

    async def play() -> Stage:
        async with anyio.create_task_group() as tasks:
            stage = Stage(lambda instance: tasks.start_soon(instance.run), slots)
            await scene(stage)
            tasks.cancel_scope.cancel()
        return stage

    return anyio.run(play, backend_options={"loop_factory": Clock})
