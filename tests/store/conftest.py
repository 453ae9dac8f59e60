"""Shared by the tests of the store: the event loop, a home, a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roundhouse.store.store import Store, open_store


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with open_store(None, redact=str) as opened:
        yield opened
