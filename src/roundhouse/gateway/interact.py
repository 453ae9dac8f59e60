"""What a server says of its own accord: whose it is, and where it goes.

A server of the handshake era does not say which call made it ask or log. While one client is connected everything is
that client's; with several (the house) it will be the only one with a call in flight.
"""

from __future__ import annotations

from typing import Protocol

from roundhouse.errors import METHOD_NOT_FOUND, BadMessage
from roundhouse.gateway.connection import Connection
from roundhouse.gateway.switch import Switch, Translate
from roundhouse.wire.envelope import Members, text
from roundhouse.wire.peer import Peer

# Notifications about what we do not show yet: a client that was never told of a server's prompts has no use for them.
NOT_SHOWN = frozenset(
    {"notifications/resources/list_changed", "notifications/resources/updated", "notifications/prompts/list_changed"}
)


class Relistable(Protocol):
    """The server that spoke."""

    def relist(self) -> None: ...


def heard(
    server: Relistable, peer: Peer, message: Members, *, client: Connection | None, switch: Switch, translate: Translate
) -> None:
    """Take a request or notification of a server to whom it is for.

    Args:
        peer: the conversation it came over.
        client: whose server it is; None while nobody is there.
    """
    method = text(message["method"]) or ""
    if "id" in message:
        if method == "ping":
            peer.answer(message["id"], [b"{}"])
        elif client is None:
            nobody = BadMessage(f"There is no client to answer {method!r}.", number=METHOD_NOT_FOUND)
            peer.fail(message["id"], translate(nobody))
        else:
            switch.ask_client(client.peer, peer, message, method)
    elif method == "notifications/tools/list_changed":
        server.relist()
    elif client is not None and method not in NOT_SHOWN:
        client.relay_notification(method, message)
