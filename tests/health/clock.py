"""Time that passes only while nobody has anything to do, and instances that do as a test tells them."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from roundhouse.errors import RoundhouseError
from roundhouse.health.probe import Facts
from roundhouse.health.watch import Watch
from roundhouse.model.health import Sample, Verdict
from roundhouse.wire.envelope import Members

EPOCH = 1_700_000_000.0
FACTS = Facts(rss=50 * 2**20, cpu=1.0, fds=10, fd_limit=1024, children=0, uptime=100.0)


class _Jumping(selectors.DefaultSelector):
    """Does not wait: the time it was to wait has passed."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nobody will ever do anything again"
            self.passed += timeout
        return ready


class Clock(asyncio.SelectorEventLoop):
    """An event loop on such time."""

    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.passed


class World:
    """A watch over instances, on a clock of its own."""

    def __init__(self) -> None:
        self.instances: list[Fake] = []
        self.notes: list[tuple[Sample, Verdict]] = []
        self.asleep = 0.0  # seconds that the machine slept
        self.looks = 0
        self.facts: Facts | None = FACTS
        self.look_takes = 0.0  # seconds
        self.looking = self.most_looking = 0
        self.watch = Watch(lambda *note: self.notes.append(note), look=self._look, wall=self.wall)

    def wall(self) -> float:
        return EPOCH + anyio.current_time() + self.asleep

    def stall(self, seconds: float) -> None:
        """The loop does something else for so long."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Clock)
        loop.jumping.passed += seconds

    def add(self, name: str = "a", state: str = "ready", **how: Any) -> Fake:
        self.instances.append(Fake(self, name, state, **how))
        return self.instances[-1]

    def there(self) -> list[Fake]:
        self.looks += 1
        return list(self.instances)

    def samples(self, name: str = "a") -> list[Sample]:
        return [sample for sample, _ in self.notes if sample.server == name]

    async def _look(self, pid: int) -> Facts | None:
        self.looking += 1
        self.most_looking = max(self.most_looking, self.looking)
        await anyio.sleep(self.look_takes)
        self.looking -= 1
        return self.facts


class Fake:
    """An instance. `answers` is how it answers; a test may exchange it at any time."""

    def __init__(self, world: World, name: str, state: str, *, pid: int | None = 7) -> None:
        self.name, self.key, self.pid, self.reason = name, "default", pid, ""
        self.state, self.since = state, anyio.current_time()
        self.answered = -math.inf
        self.answers: Callable[[str], Awaitable[Members]] = self.promptly
        self.asked: list[tuple[float, str]] = []
        self.in_flight = self.most_in_flight = 0
        self.troubles: list[tuple[float, str]] = []
        self._world = world

    async def ask(self, method: str, timeout: float) -> Members:
        self.asked.append((anyio.current_time(), method))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.answers(method)
        finally:
            self.in_flight -= 1

    def trouble(self, reason: str) -> None:
        self.troubles.append((anyio.current_time(), reason))

    def become(self, state: str, reason: str = "") -> None:
        before, self.state, self.reason, self.since = self.state, state, reason, anyio.current_time()
        self._world.watch.moved(self, before)

    # -- ways to answer

    async def promptly(self, method: str) -> Members:
        await anyio.sleep(0.01)
        self.answered = anyio.current_time()
        return {"result": b"{}"}

    async def never(self, method: str) -> Members:
        await anyio.sleep_forever()
        raise AssertionError

    async def refusing(self, method: str) -> Members:
        raise RoundhouseError("it does not read what it is sent")

    def with_error(self, number: int) -> Callable[[str], Awaitable[Members]]:
        async def answer(method: str) -> Mapping[str, bytes]:
            if method != "ping":
                return await self.promptly(method)
            return {"error": b'{"code":%d,"message":"no"}' % number}

        return answer

    def after(self, seconds: float) -> Callable[[str], Awaitable[Members]]:
        async def answer(method: str) -> Members:
            await anyio.sleep(seconds)
            return await self.promptly(method)

        return answer


async def until(wanted: Callable[[], object]) -> None:
    """Let time pass until something is so. It costs nothing here."""
    while not wanted():  # noqa: ASYNC110 - what is waited for has no event
        await anyio.sleep(0.1)


def on_a_clock(scene: Callable[[World], Awaitable[None]]) -> World:
    """Run a scene in a world whose watch is on, and return the world as it was at the end."""

    async def run() -> World:
        world = World()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.watch.run, world.there)
            await scene(world)
            tasks.cancel_scope.cancel()
        return world

    return anyio.run(run, backend_options={"loop_factory": Clock})
