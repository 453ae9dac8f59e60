"""Shared by the tests of settings: a configuration file of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.settings.files import File


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)
