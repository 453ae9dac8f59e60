"""How many servers may start at a time: as many as there are cores, and none may keep the others waiting for long."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

SLOT_HOLD = 1.0  # seconds; a server that takes longer is waiting for something other than the processor


class StartSlots:
    """`async with slots.take():` around the start of one server."""

    def __init__(self, count: int | None = None) -> None:
        self._free = anyio.Semaphore(count or os.cpu_count() or 1)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it until the block ends, or for `SLOT_HOLD` seconds."""
        await self._free.acquire()
        held = True

        def give_back() -> None:
            nonlocal held
            if held:
                held = False
                self._free.release()

        timer = asyncio.get_running_loop().call_later(SLOT_HOLD, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()
