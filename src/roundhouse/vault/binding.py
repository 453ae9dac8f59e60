"""Where a secret may go: to one server, and over the network to one origin. Pure.

So a name in another server's entry, or a changed URL, gets nothing: only a person can give a secret to somebody else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from roundhouse.errors import BadConfiguration

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_PLAIN = re.compile(r"[^\x00-\x20\x7f\\]+")
_HOST = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+")


@dataclass(frozen=True, slots=True)
class Binding:
    """What a secret was given for."""

    name: str
    server: str | None  # None: for nobody yet
    origin: str | None = None  # None: for the server's own process, not to be sent to a URL


def may_use(secret: Binding, server: str, origin: str | None = None) -> str | None:
    """Why a server may not have a secret, with the mend. None if it may.

    Args:
        origin: of the URL that the secret would be sent to, as `origin_of` gives it; None for a process's environment
            or arguments.
    """
    again = f"If that is meant, a person gives it again: `roundhouse secret set {secret.name} --server {server}`."
    if secret.server is None:
        return f"The secret {secret.name} has been given to no server yet. {again}"
    if secret.server != server:
        return (
            f"The secret {secret.name} was given to the server {secret.server!r}, not to {server!r}. Set one of "
            f"its own for {server!r} under another name, and refer to that."
        )
    if secret.origin == origin:
        return None
    was = f"to be sent to {secret.origin}" if secret.origin else "for the process of the server"
    now = f"would be sent to {origin}" if origin else "would go to a process"
    return f"The secret {secret.name} was given to {server!r} {was}, and now {now}. {again}"


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, written in one way: `https://api.example.com:443`.

    What two programs could read differently has none: a host that is not ASCII, `%` in it, a backslash, a space.

    Raises: `BadConfiguration`.
    """
    try:
        parts = urlsplit(url)
        port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:  # a port that is no number, a bracket that is not closed
        port = None
    if not port or parts.scheme not in _PORTS or not _PLAIN.fullmatch(url) or not _HOST.fullmatch(parts.hostname or ""):
        raise BadConfiguration(
            "The URL has no scheme, host and port that are certain. Write it like 'https://host.example/path', and a "
            "host that is not ASCII in its 'xn--' form."
        )
    host = str(parts.hostname)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host.removesuffix('.')}:{port}"
