"""The door of a client that started us: its messages on our stdin and stdout, and nothing else on either.

Descriptors 0 and 1 are moved away first, so that a stray read or print anywhere in this process cannot touch the wire.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from roundhouse.wire.framing import Frame
from roundhouse.wire.stdio import PipeReader, PipeWriter, Turn


class StdioDoor:
    """Opens at once for writing; for reading with `listen`.

    Args:
        left: called once when the client has closed either pipe.
    """

    def __init__(self, turn: Turn, left: Callable[[], None]) -> None:
        self._stdin, stdout = _take(0, os.O_RDONLY), _take(1, os.O_WRONLY)
        os.dup2(2, 1)
        self._turn = turn
        self._left = left
        self.writer = PipeWriter(stdout, turn, broken=left, back_pressure=True)

    def listen(self, received: Callable[[Frame], None]) -> None:
        """Hand every frame to `received` from now on."""
        PipeReader(self._stdin, self._turn, received=received, ended=self._left, answers=self.writer)


def _take(fd: int, mode: int) -> int:
    """Move a standard descriptor elsewhere and leave /dev/null in its place."""
    moved = os.dup(fd)
    nothing = os.open(os.devnull, mode)
    os.dup2(nothing, fd)
    os.close(nothing)
    return moved
