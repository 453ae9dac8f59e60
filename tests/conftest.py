"""Shared by all tests: a configuration folder, and a house in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.home import Home, home
from tests.house import House, house

Start = Callable[..., House]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start({"name": entry, ...})`: a running, opened house; at the end it leaves, and nothing may be left of it."""
    with ExitStack() as open_houses:

        def enter(servers: dict[str, Any] | str, **options: Any) -> House:
            return open_houses.enter_context(house(tmp_path, servers, **options))

        yield enter


@pytest.fixture
def at_home(tmp_path: Path) -> Iterator[Home]:
    """A home of its own, with no house yet; at the end the house leaves, and nothing may be left of it."""
    with home(tmp_path) as opened:
        yield opened
