"""What a server says of its own accord: whose it is, and where it goes.

A server of the handshake era does not say which call made it ask or log. So what it says is for the only client with a
call in flight; where none has one, for the only client it serves. Where several have, nobody can know: a question is
refused, and the house gives each client an instance of its own from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from roundhouse.errors import METHOD_NOT_FOUND, UNAVAILABLE, BadMessage
from roundhouse.gateway.connection import Connection
from roundhouse.gateway.switch import Translate
from roundhouse.wire.envelope import Members, text
from roundhouse.wire.peer import Peer

# Notifications about what we do not show yet: a client that was never told of a server's prompts has no use for them.
NOT_SHOWN = frozenset(
    {"notifications/resources/list_changed", "notifications/resources/updated", "notifications/prompts/list_changed"}
)


class Speaker(Protocol):
    """The instance that spoke."""

    asks: bool

    @property
    def name(self) -> str: ...
    def relist(self) -> None: ...


def heard(
    server: Speaker,
    peer: Peer,
    message: Members,
    *,
    clients: Sequence[Connection],
    translate: Translate,
    crowded: Callable[[], None],
) -> None:
    """Take a request or notification of a server to whom it is for.

    Args:
        peer: the conversation it came over.
        clients: all it can be for.
        crowded: called when it asked and there were several.
    """
    method = text(message["method"]) or ""
    if "id" in message:
        if method == "ping":
            peer.answer(message["id"], [b"{}"])
            return
        server.asks = True
        if not clients:
            nobody = BadMessage(f"There is no client to answer {method!r}.", number=METHOD_NOT_FOUND)
            peer.fail(message["id"], translate(nobody))
        elif len(clients) > 1:
            several = (
                f"{len(clients)} clients are using {server.name!r} at once, and nothing says whose {method!r} this is. "
                "From now on each has an instance of its own: call again."
            )
            peer.fail(message["id"], translate(BadMessage(several, number=UNAVAILABLE)))
            crowded()
        else:
            clients[0].ask(peer, message, method)
    elif method == "notifications/tools/list_changed":
        server.relist()
    elif len(clients) == 1 and method.startswith("notifications/") and method not in NOT_SHOWN:
        clients[0].relay_notification(method, message)
