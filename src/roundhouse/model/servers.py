"""What a server is before it lives: the specification a person, a file or a conversation gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

CALL_TIMEOUT = 600.0  # seconds; long enough for a build or a crawl, short enough that nobody waits for ever
LONGEST_CALL_TIMEOUT = 24 * 3600.0
START_TIMEOUT = 30.0  # seconds from spawn to a finished handshake and list
IDLE_STOP = 600.0  # seconds without a call after which an on-demand server stops


class Start(StrEnum):
    """When a server's process is started."""

    ON_DEMAND = "on-demand"  # by the first call that needs it
    ALWAYS = "always"  # with the house


class Sharing(StrEnum):
    """Which clients share a process."""

    AUTO = "auto"  # those that can do the same, until the server asks one of several clients something
    SHARED = "shared"  # those that can do the same, always
    PER_CLIENT = "per-client"


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One configured server: a command, or an address.

    `problems` are what is wrong with the entry, each with its place and fix; a server that has any is never started.
    """

    name: str
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    call_timeout: float = CALL_TIMEOUT  # seconds
    start_timeout: float = START_TIMEOUT  # seconds
    start: Start = Start.ON_DEMAND
    idle_stop: float = IDLE_STOP  # seconds; 0: never
    allow: tuple[str, ...] = ()  # patterns of the server's own tool names; none: all
    deny: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)  # the server's own tool name to the one shown
    descriptions: Mapping[str, str] = field(default_factory=dict)  # by the server's own tool name
    instances: Sharing = Sharing.AUTO
    tags: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()  # tools that are listed even where only a search is shown
    disabled: bool = False
    problems: tuple[str, ...] = ()

    def offers(self, tool: str) -> bool:
        """Whether clients may see and call this tool of it."""
        allowed = not self.allow or any(fnmatchcase(tool, pattern) for pattern in self.allow)
        return allowed and not any(fnmatchcase(tool, pattern) for pattern in self.deny)

    def starts_like(self, other: ServerSpec) -> bool:
        """Whether a process of the one would be a process of the other."""
        return _launching(self) == _launching(other)


def _launching(spec: ServerSpec) -> ServerSpec:
    """The part of a specification that a running process was made from."""
    return ServerSpec(
        spec.name,
        command=spec.command,
        args=spec.args,
        env=dict(spec.env),
        cwd=spec.cwd,
        url=spec.url,
        headers=dict(spec.headers),
        instances=spec.instances,
        problems=spec.problems,
    )
