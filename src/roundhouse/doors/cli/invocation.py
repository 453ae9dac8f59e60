"""One run of the command line: which home is meant, how the answer is shown, and the connection to the house."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from roundhouse import __version__, rendezvous
from roundhouse.doors.cli.client import ANSWER_WITHIN, OPEN_WITHIN, Client, Message, Waiting
from roundhouse.doors.cli.failures import HouseUnavailable
from roundhouse.doors.cli.screen import Screen

US = "cli"  # what we are, in the hello


class Invocation:
    """What a command works with. Connects to the house, and starts it, when something is first asked of it."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.home_wanted: Path | None = None
        self._client: Client | None = None

    @cached_property
    def home(self) -> Path:
        """The folder of the house that is meant."""
        wanted = self.home_wanted.expanduser() if self.home_wanted else rendezvous.default_home()
        return Path(os.path.realpath(wanted))

    @cached_property
    def place(self) -> rendezvous.Place:
        """Where that house is met. Raises: `HouseUnavailable`."""
        try:
            return rendezvous.Place(str(self.home))
        except rendezvous.RendezvousError as bad:
            raise _unavailable(bad) from None

    def find(self, within: float = OPEN_WITHIN) -> bool:
        """Whether a house runs; if so, what is asked from now on is asked of it. Starts none.

        Args:
            within: seconds it may take to open.

        Raises: `HouseUnavailable` for one that is there and does not answer, or not to us.
        """
        if self._client is None:
            try:
                met = rendezvous.find(self.place, US, __version__)
            except rendezvous.RendezvousError as bad:
                raise _unavailable(bad) from None
            self._client = Client(met[0], __version__, within) if met else None
        return self._client is not None

    def ask(
        self,
        operation: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        waiting: Waiting | None = None,
        within: float = ANSWER_WITHIN,
    ) -> Message:
        """What an operation of the house returns.

        Args:
            waiting: told that it takes its time.
            within: seconds.

        Raises: `Refused` for any failure of it, `HouseUnavailable`.
        """
        return self._house().ask(operation, arguments or {}, waiting=waiting, within=within)

    def call(self, operation: str, arguments: Mapping[str, Any], *, waiting: Waiting | None = None) -> Message:
        """The whole tool result of an operation whose length the house limits, `isError` included.

        Raises: `Refused` for a JSON-RPC error, `HouseUnavailable`.
        """
        return self._house().call(operation, arguments, waiting=waiting)

    def wait_gone(self, within: float) -> bool:
        """Whether the house that was told to leave has left in so many seconds, its processes with it."""
        lock = rendezvous.hold_house_lock(self.place, within)
        if lock is None:
            return False
        os.close(lock)
        return True

    def close(self) -> None:
        """Let go of the house."""
        if self._client:
            self._client.close()
            self._client = None

    def _house(self) -> Client:
        if self._client is None:
            try:
                connected, _ = rendezvous.find_or_start(self.place, US, __version__)
            except rendezvous.RendezvousError as bad:
                raise _unavailable(bad) from None
            self._client = Client(connected, __version__)
        return self._client


def _unavailable(bad: rendezvous.RendezvousError) -> HouseUnavailable:
    failure = HouseUnavailable(str(bad))
    failure.code = bad.code
    return failure
