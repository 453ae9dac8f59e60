"""From a call of one of our own tools to its handler and back. Loads pydantic with the first call, off the loop."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from roundhouse.errors import INVALID_PARAMS, BadMessage
from roundhouse.operations.rooms import Rooms
from roundhouse.wire.envelope import Parts, Raws, elements, encode, members, text

if TYPE_CHECKING:
    from pydantic import ValidationError

    from roundhouse.operations.operation import Operation

REGISTRY = "roundhouse.operations.registry"
# Operations that no model can call: not listed, and unknown to whoever is not the command line.
PERSON_ONLY = frozenset(
    {
        "approve",
        "deny",
        "list_tools",
        "list_secrets",
        "set_secret",
        "remove_secret",
        "house_status",
        "leave",
    }
)


def definitions() -> dict[str, bytes]:
    """The MCP definitions of our own tools, by name, without loading the operations."""
    listed = elements(Path(__file__).with_name("operations.json").read_bytes())
    return {text(members(one)["name"]) or "": _compact(bytes(one)) for one in listed}


async def dispatch(rooms: Rooms, name: str, arguments: Raws | None) -> Parts:
    """Validate, call the handler, and put its output into a tool result.

    Raises: `BadMessage` for arguments that do not fit, every problem named; what the handler raises.
    """
    if not hasattr(sys.modules.get(REGISTRY), "OPERATIONS"):  # not there, or not whole yet
        await anyio.to_thread.run_sync(importlib.import_module, REGISTRY)
    operation = _operation(name)
    from pydantic import ValidationError

    if operation.handler is None:
        raise RuntimeError(f"{name} is relayed by the gateway")
    try:
        given = b"null" if arguments is None else bytes(arguments)
        asked = operation.input.model_validate_json(b"{}" if given == b"null" else given)
    except ValidationError as bad:
        raise BadMessage(_explain(operation, bad), number=INVALID_PARAMS) from None
    output = (await operation.handler(rooms, asked)).model_dump_json().encode()
    if operation.output is None:  # said once only: what is meant to cost a model little
        return [b'{"content":[{"type":"text","text":', encode(output.decode()), b"}]}"]
    return [b'{"content":[{"type":"text","text":', encode(output.decode()), b'}],"structuredContent":', output, b"}"]


def _operation(name: str) -> Operation[Any, Any]:
    from roundhouse.operations.registry import OPERATIONS

    return OPERATIONS[name]


def _explain(operation: Operation[Any, Any], bad: ValidationError) -> str:
    problems = [f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in bad.errors()]
    takes = ", ".join(operation.input.model_fields) or "no arguments"
    return f"The arguments of {operation.name} do not fit: {'; '.join(problems)}. It takes: {takes}."


def _compact(definition: bytes) -> bytes:
    import json

    return json.dumps(json.loads(definition), separators=(",", ":"), ensure_ascii=False).encode()
