"""The form of an operation: name, typed input and output, honest annotations, role, handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from roundhouse.gateway.catalogue import Catalogue
from roundhouse.supervise.supervisor import Supervisor


class Model(BaseModel):
    """Base of all inputs and outputs: no unknown members, so that a misspelt argument is an error and not a default."""

    model_config = ConfigDict(extra="forbid")


class Role(StrEnum):
    """What a caller must be allowed to do."""

    READ = "read"
    EXECUTE = "execute"
    MANAGE = "manage"


@dataclass(frozen=True, slots=True)
class Rooms:
    """What handlers work on."""

    supervisor: Supervisor
    catalogue: Callable[[], Catalogue]


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
    """One thing that can be asked. `call_tool` has no handler: the gateway relays it, bytes untouched."""

    name: str
    title: str
    description: str
    input: type[I]
    output: type[O] | None
    effects: Effects
    role: Role
    handler: Callable[[Rooms, I], Awaitable[O]] | None

    def definition(self) -> dict[str, Any]:
        """The MCP tool definition."""
        definition: dict[str, Any] = {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.input.model_json_schema(),
            "annotations": {
                "title": self.title,
                "readOnlyHint": self.effects.reads_only,
                "destructiveHint": self.effects.destroys,
                "idempotentHint": self.effects.idempotent,
                "openWorldHint": self.effects.open_world,
            },
        }
        if self.output:
            definition["outputSchema"] = self.output.model_json_schema(mode="serialization")
        return definition
