"""A desk with the command line on it, and a fake house it can reach."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.doors.command_line import Desk
from tests.doors.fake_house import FakeHouse, fake_house


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Where nobody's house and nobody's clients are, yet."""
    runtime = tempfile.mkdtemp(prefix="rh-", dir="/tmp")  # a socket's path has hardly 100 bytes
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    with ExitStack() as terminals:
        yield Desk(tmp_path, runtime, terminals)
    shutil.rmtree(runtime)


@pytest.fixture
def house(desk: Desk) -> Iterator[FakeHouse]:
    """A fake house that runs."""
    with fake_house(desk.place) as running:
        yield running
