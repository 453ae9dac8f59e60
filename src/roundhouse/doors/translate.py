"""The exception boundary: a failure as what the protocol says of it. Nothing else turns an error into an answer.

Secrets are taken out of the texts before they are encoded, so that what is answered is always a whole answer.
"""

from __future__ import annotations

from collections.abc import Callable

from roundhouse.errors import RoundhouseError
from roundhouse.wire.envelope import encode_any

Redact = Callable[[object], object]  # a JSON value with every string in it redacted


def as_error(error: RoundhouseError, redact: Redact) -> bytes:
    """A JSON-RPC error object: number, message, and the facts beside our stable code."""
    return encode_any({"code": error.number, "message": redact(str(error)), "data": _data(error, redact)})


def as_tool_result(error: RoundhouseError, redact: Redact) -> bytes:
    """The result of a tool of ours that failed: text a model can act on, the code at its beginning."""
    return encode_any(
        {
            "content": [{"type": "text", "text": f"{error.code}: {redact(str(error))}"}],
            "isError": True,
            "_meta": {"roundhouse/error": _data(error, redact)},
        }
    )


def _data(error: RoundhouseError, redact: Redact) -> dict[str, object]:
    facts = {name: redact(value) for name, value in error.facts.items()}
    return {"code": error.code, "retryable": error.retryable, **facts}
