"""The exception boundary: a failure as what the protocol says of it. Nothing else turns an error into an answer."""

from __future__ import annotations

from roundhouse.errors import RoundhouseError
from roundhouse.wire.envelope import encode_any


def as_error(error: RoundhouseError) -> bytes:
    """A JSON-RPC error object: number, message, and the facts beside our stable code."""
    return encode_any({"code": error.number, "message": str(error), "data": _data(error)})


def as_tool_result(error: RoundhouseError) -> bytes:
    """The result of a tool of ours that failed: text a model can act on, the code at its beginning."""
    return encode_any(
        {
            "content": [{"type": "text", "text": f"{error.code}: {error}"}],
            "isError": True,
            "_meta": {"roundhouse/error": _data(error)},
        }
    )


def _data(error: RoundhouseError) -> dict[str, object]:
    return {"code": error.code, "retryable": error.retryable, **error.facts}
