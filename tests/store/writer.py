"""A process that adds servers until it is killed: `python -m tests.store.writer HOME PREFIX`.

It says the name of each on stdout, one a line, once the store has acknowledged it.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import count
from pathlib import Path

import anyio

from roundhouse.model.calls import CallFinished
from roundhouse.store.store import open_store

ENTRY = '{"command": "' + "x" * 300 + '"}'


async def write(home: Path, prefix: str) -> None:
    async with open_store(home, redact=str) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(store.keep)
        for number in count():
            name = f"{prefix}-{number}"
            await store.servers.put(name, ENTRY)
            os.write(1, f"{name}\n".encode())
            store.journal.note(CallFinished(name, b'"t"', "c", time.time(), 0.0, "ok", "", 2, 2, b"{}", b"{}"))


if __name__ == "__main__":
    anyio.run(write, Path(sys.argv[1]), sys.argv[2])
