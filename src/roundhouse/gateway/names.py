"""The names a client sees: `server__tool`, short enough for every client, unique, and never taken apart again."""

from __future__ import annotations

import hashlib
import re

SEPARATOR = "__"
LONGEST = 47  # characters; clients put their own prefix before it and have limits of 60 to 64
DIGEST = 8  # hexadecimal digits of the hash that ends a shortened name

_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9_-]")


def public_name(server: str, tool: str) -> str:
    """The name under which a server's tool appears.

    A name that is too long or has characters clients refuse ends in a hash of itself, so it depends on nothing but
    itself and stays the same whatever else is installed. Server names contain no separator (see `settings`), so no two
    servers' tools can meet.
    """
    plain = f"{server}{SEPARATOR}{tool}"
    safe = _NOT_ALLOWED.sub("_", plain)
    if safe == plain and len(plain) <= LONGEST:
        return plain
    digest = hashlib.sha256(f"{server}\0{tool}".encode(errors="surrogatepass")).hexdigest()[:DIGEST]
    return f"{safe[: LONGEST - DIGEST - 1]}_{digest}"
