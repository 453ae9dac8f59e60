"""The form of an operation: name, typed input and output, honest annotations, role, handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from roundhouse.operations.rooms import Rooms


class Model(BaseModel):
    """Base of all inputs and outputs: no unknown members, so that a misspelt argument is an error and not a default."""

    model_config = ConfigDict(extra="forbid")


class Role(StrEnum):
    """What a caller must be allowed to do."""

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"
    MANAGE = "manage"


@dataclass(frozen=True, slots=True)
class Effects:
    """What a call does to the world (MCP tool annotations), said of every operation and never left to a default."""

    reads_only: bool
    destroys: bool  # something is lost that a second call does not bring back
    idempotent: bool
    open_world: bool  # it reaches beyond this house


I = TypeVar("I", bound=Model)  # noqa: E741
O = TypeVar("O", bound=Model)  # noqa: E741


@dataclass(frozen=True, slots=True)
class Operation(Generic[I, O]):
    """One thing that can be asked. `call_tool` has no handler: the gateway relays it, bytes untouched.

    `person_only`: on the command line, where a person decides; never a tool that a model could call.
    """

    name: str
    title: str
    description: str
    input: type[I]
    output: type[O] | None
    effects: Effects
    role: Role
    handler: Callable[[Rooms, I], Awaitable[O]] | None
    person_only: bool = False

    def definition(self) -> dict[str, Any]:
        """The MCP tool definition."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": _lean(self.input.model_json_schema()),
            "annotations": {
                "title": self.title,
                "readOnlyHint": self.effects.reads_only,
                "destructiveHint": self.effects.destroys,
                "idempotentHint": self.effects.idempotent,
                "openWorldHint": self.effects.open_world,
            },
        }


def _lean(schema: Any) -> Any:
    """A schema without the titles that pydantic makes of names: every client pays for each word of a list.

    The same reason keeps output schemas out of the list. What a model needs of an output stands in the output.
    """
    if isinstance(schema, list):
        return [_lean(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _lean(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
