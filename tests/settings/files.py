"""Configuration files for tests: written as they are given, and loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from roundhouse.errors import BadConfiguration
from roundhouse.model.servers import ServerSpec
from roundhouse.settings.file import load_servers

RESERVED = frozenset({"roundhouse", "chain", "list_servers"})
GOOD = {"command": "echo", "args": ["-n"]}
REMOTE = {"url": "https://example.org/mcp"}


class File:
    """A configuration file, written and loaded."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "servers.json"

    def load(self, content: bytes | str) -> list[ServerSpec]:
        self.path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_servers(self.path, RESERVED)

    def servers(self, **entries: Any) -> dict[str, ServerSpec]:
        return {spec.name: spec for spec in self.load(json.dumps({"mcpServers": entries}))}

    def entry(self, entry: Any, name: str = "a") -> ServerSpec:
        (spec,) = self.load(json.dumps({"mcpServers": {name: entry}}))
        return spec

    def refusal(self, content: bytes | str) -> str:
        """What is said of content that cannot be read as a whole. It always names the file."""
        with pytest.raises(BadConfiguration) as caught:
            self.load(content)
        assert str(self.path) in str(caught.value)
        return str(caught.value)


def with_timeout(number: str) -> str:
    """A configuration with this as a number, however it is written."""
    return '{"mcpServers":{"a":{"command":"x","call_timeout":' + number + "}}}"
