"""Ids of rows: UUIDs of version 7, so that rows written one after the other lie side by side in an index."""

from __future__ import annotations

import os
import time

_TICKS = 4096  # parts of a millisecond that fit into the twelve bits after the version


def new_id() -> str:
    """A UUIDv7 (RFC 9562, 5.7, method 3): milliseconds since the epoch, a fraction of one, 62 random bits."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * _TICKS // 1_000_000
    head = f"{milliseconds:012x}7{fraction:03x}"
    tail = f"{int.from_bytes(os.urandom(8)) & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000:016x}"
    return f"{head[:8]}-{head[8:12]}-{head[12:]}-{tail[:4]}-{tail[4:]}"
