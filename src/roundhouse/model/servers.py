"""What a server is before it lives: the specification a person or a file gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CALL_TIMEOUT = 600.0  # seconds; long enough for a build or a crawl, short enough that nobody waits for ever
LONGEST_CALL_TIMEOUT = 24 * 3600.0
START_TIMEOUT = 30.0  # seconds from spawn to a finished handshake and list


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One configured stdio server.

    `problems` are what is wrong with the entry, each with its place and fix; a server that has any is never started.
    """

    name: str
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    call_timeout: float = CALL_TIMEOUT
    start_timeout: float = START_TIMEOUT
    disabled: bool = False
    problems: tuple[str, ...] = ()
