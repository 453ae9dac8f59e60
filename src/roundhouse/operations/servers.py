"""Operations on servers: which there are, and starting, stopping and restarting one."""

from __future__ import annotations

from typing import Annotated

import anyio
from pydantic import Field

from roundhouse.operations.operation import Effects, Model, Operation, Role, Rooms
from roundhouse.supervise.instance import Instance
from roundhouse.supervise.states import State

START_WAIT = 45.0  # seconds a call waits for a server to come up; below what clients wait for a call

DOWN = (State.BACKOFF, State.FAILED)

Name = Annotated[str, Field(description="The server's name, as list_servers shows it.")]


class Nothing(Model):
    """No arguments."""


class Named(Model):
    """Which server."""

    name: Name


class ServerStatus(Model):
    """One server now."""

    name: str
    state: Annotated[
        State, Field(description="Only a `ready` server answers calls at once; a `starting` one holds them.")
    ]
    reason: Annotated[str, Field(description="Why it is in this state, where that is not obvious.")]
    tools: Annotated[int, Field(description="How many of its tools are listed now.")]
    pid: int | None
    seconds_in_state: float
    restarts: Annotated[int, Field(description="How often it was restarted after ending unasked.")]
    notes: Annotated[list[str], Field(description="What of its list was left out, and why.")]
    last_stderr: Annotated[
        list[str], Field(description="The last lines it wrote to stderr, where it is down. read_logs has more.")
    ]
    ignored: Annotated[
        dict[str, int],
        Field(description="Messages from it that were of no use, counted by kind: unreadable lines, late answers."),
    ]


class ServerList(Model):
    """All servers, in the order of the configuration."""

    servers: list[ServerStatus]


def status(rooms: Rooms, instance: Instance) -> ServerStatus:
    """What can be said of an instance now."""
    part = rooms.catalogue().parts.get(instance.name)
    return ServerStatus(
        name=instance.name,
        state=instance.state,
        reason=instance.reason,
        tools=len(part.entries) if part else 0,
        pid=instance.pid,
        seconds_in_state=round(anyio.current_time() - instance.since, 1),
        restarts=instance.restarts,
        notes=[*instance.listing.notes, *(part.notes if part else ())],
        last_stderr=instance.stderr.last_words() if instance.state in DOWN else [],
        ignored=dict(instance.counts),
    )


async def _list(rooms: Rooms, _: Nothing) -> ServerList:
    return ServerList(servers=[status(rooms, instance) for instance in rooms.supervisor])


async def _start(rooms: Rooms, asked: Named) -> ServerStatus:
    instance = rooms.supervisor.get(asked.name)
    instance.start()
    return await _come_up(rooms, instance)


async def _stop(rooms: Rooms, asked: Named) -> ServerStatus:
    instance = rooms.supervisor.get(asked.name)
    instance.stop()
    await instance.reached(State.STOPPED)
    return status(rooms, instance)


async def _restart(rooms: Rooms, asked: Named) -> ServerStatus:
    instance = rooms.supervisor.get(asked.name)
    instance.restart()
    return await _come_up(rooms, instance)


async def _come_up(rooms: Rooms, instance: Instance) -> ServerStatus:
    """Wait until it is up, or until it is clear that it does not come up."""
    with anyio.move_on_after(START_WAIT):
        await instance.settle()
    if instance.state in (*DOWN, State.STOPPED):
        raise instance.unavailable("no")
    return status(rooms, instance)


LIST_SERVERS = Operation(
    name="list_servers",
    title="List servers",
    description=(
        "Shows every MCP server that Roundhouse runs for you: its state, how many tools it offers, and, if it does not "
        "work, the reason. Look here first when a tool is missing or fails. A server's tools are named server__tool."
    ),
    input=Nothing,
    output=ServerList,
    effects=Effects(reads_only=True, destroys=False, idempotent=True, open_world=False),
    role=Role.READ,
    handler=_list,
)

START_SERVER = Operation(
    name="start_server",
    title="Start a server",
    description=(
        "Starts a configured server that is stopped or has failed, and waits until its tools can be called. Returns "
        "its status; if it does not come up, an error with the reason and its last output. Does nothing to one that "
        "runs."
    ),
    input=Named,
    output=ServerStatus,
    effects=Effects(reads_only=False, destroys=False, idempotent=True, open_world=True),
    role=Role.EXECUTE,
    handler=_start,
)

STOP_SERVER = Operation(
    name="stop_server",
    title="Stop a server",
    description=(
        "Stops a server and everything it started, and takes its tools off the list. Its running calls fail, and what "
        "it kept in memory is lost. It stays stopped until start_server."
    ),
    input=Named,
    output=ServerStatus,
    effects=Effects(reads_only=False, destroys=True, idempotent=True, open_world=False),
    role=Role.EXECUTE,
    handler=_stop,
)

RESTART_SERVER = Operation(
    name="restart_server",
    title="Restart a server",
    description=(
        "Stops a server, if it runs, and starts it anew; waits until its tools can be called. Use it for a server that "
        "hangs or answers nonsense, or after mending what made it fail. Its running calls fail, and what it kept in "
        "memory is lost."
    ),
    input=Named,
    output=ServerStatus,
    effects=Effects(reads_only=False, destroys=True, idempotent=False, open_world=True),
    role=Role.EXECUTE,
    handler=_restart,
)
