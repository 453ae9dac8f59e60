"""Operations on the servers' tools."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from roundhouse.operations.operation import Effects, Model, Operation, Role


class Call(Model):
    """Which tool, with what."""

    name: Annotated[str, Field(description="The tool's full name, server__tool, as tools/list shows it.")]
    arguments: Annotated[
        dict[str, Any],
        Field(default_factory=dict, description="The tool's own arguments, as its input schema wants them."),
    ]


CALL_TOOL: Operation[Call, Model] = Operation(
    name="call_tool",
    title="Call a tool by name",
    description=(
        "Calls a tool of any server by its full name, server__tool, and returns that tool's result unchanged. Use it "
        "for a tool that is not in your own list yet, for example right after start_server. Tools you can see are "
        "better called directly."
    ),
    input=Call,
    output=None,
    effects=Effects(reads_only=False, destroys=True, idempotent=False, open_world=True),
    role=Role.EXECUTE,
    handler=None,
)
