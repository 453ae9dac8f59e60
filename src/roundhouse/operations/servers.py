"""Operations on servers: which there are; adding, changing and removing one; starting, stopping and restarting it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import anyio
from pydantic import Field

from roundhouse.errors import INVALID_PARAMS, BadMessage
from roundhouse.model.servers import Sharing, Start
from roundhouse.operations.operation import Effects, Model, Operation, Role
from roundhouse.operations.rooms import Rooms
from roundhouse.operations.secrets import keep_literals
from roundhouse.settings.entry import KEYS
from roundhouse.supervise.instance import Instance
from roundhouse.supervise.roster import Outcome, Standing
from roundhouse.supervise.server import Server
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
        State,
        Field(description="A `ready` server answers at once; a `stopped` on-demand one is started by the first call."),
    ]
    reason: Annotated[str, Field(description="Why it is in this state, where that is not obvious.")]
    start: Start
    approval: Annotated[
        Standing, Field(description="What a person has said of it. Nothing of it runs before it is `approved`.")
    ]
    tools: Annotated[int, Field(description="How many of its tools are on offer now.")]
    pid: int | None
    seconds_in_state: float
    restarts: Annotated[int, Field(description="How often it was restarted after ending unasked.")]
    instances: Annotated[int, Field(description="How many processes of it run, for clients that cannot share one.")]
    notes: Annotated[list[str], Field(description="What of its list was left out, and why.")]
    last_stderr: Annotated[
        list[str], Field(description="The last lines it wrote to stderr, where it is down. read_logs has more.")
    ]
    ignored: Annotated[
        dict[str, int],
        Field(description="Messages from it that were of no use, counted by kind: unreadable lines, late answers."),
    ]
    tags: list[str]


class ServerList(Model):
    """All servers, in the order in which they were added."""

    servers: list[ServerStatus]


class NewServer(Model):
    """A server to add: a command, or an address. The keys are those of an `mcpServers` entry."""

    name: Annotated[
        str, Field(description="How it is to be called: a-z, A-Z, 0-9, - and _. Its tools are named NAME__tool.")
    ]
    command: Annotated[
        str | None, Field(default=None, description="The program to start, such as `uvx` or `npx`. No shell reads it.")
    ]
    args: Annotated[
        list[str], Field(default_factory=list, description="Its arguments, one a string, such as `mcp-server-git`.")
    ]
    env: Annotated[
        dict[str, str],
        Field(
            default_factory=dict,
            description="Environment variables. For secrets write ${secret:NAME} and have the person run `roundhouse "
            "secret set NAME`; a literal one is taken out and kept as a secret.",
        ),
    ]
    cwd: Annotated[str | None, Field(default=None, description="The folder to start it in.")]
    url: Annotated[str | None, Field(default=None, description="The address of a server over HTTP.")]
    headers: Annotated[dict[str, str], Field(default_factory=dict, description="HTTP headers, for a `url`.")]
    type: Annotated[
        Literal["stdio", "http", "sse"] | None, Field(default=None, description="Only where a `url` needs it said.")
    ]
    disabled: Annotated[bool | None, Field(default=None, description="true: it starts only by start_server.")]
    start: Annotated[Start | None, Field(default=None, description="on-demand: by the first call (default). always.")]
    idle_stop: Annotated[
        float | None, Field(default=None, description="Seconds without a call until it stops: 600. 0: never.")
    ]
    call_timeout: Annotated[float | None, Field(default=None, description="Seconds one call may take: 600.")]
    start_timeout: Annotated[float | None, Field(default=None, description="Seconds its start may take: 30.")]
    allow: Annotated[
        list[str] | None, Field(default=None, description="Only these of its tools (patterns such as `read_*`).")
    ]
    deny: Annotated[list[str] | None, Field(default=None, description="All but these of its tools.")]
    rename: Annotated[dict[str, str] | None, Field(default=None, description="New names, by its own tool names.")]
    descriptions: Annotated[
        dict[str, str] | None, Field(default=None, description="Other descriptions, by its own tool names.")
    ]
    instances: Annotated[
        Sharing | None, Field(default=None, description="Whether clients share a process: auto, shared, per-client.")
    ]
    tags: Annotated[list[str] | None, Field(default=None, description="Words to group it by.")]
    pinned: Annotated[
        list[str] | None, Field(default=None, description="Its tools that are listed even where all are too many.")
    ]

    def entry(self) -> dict[str, Any]:
        """The `mcpServers` entry: what was said, and nothing else."""
        said = self.model_dump(mode="json", exclude={"name"}, exclude_none=True)
        return {key: value for key, value in said.items() if value not in ({}, [])}


class Added(Model):
    """What became of it."""

    name: str
    approval: Standing
    proposal_id: str | None
    state: State | None
    tools: int
    secrets_stored: Annotated[
        list[str], Field(description="Names under which literal secrets of the entry are kept now; it refers to them.")
    ]
    next_step: str


class Removed(Model):
    """It is gone."""

    name: str
    removed: Literal[True]


class Changes(Model):
    """Which server, and what of its entry is to be different."""

    name: Name
    changes: Annotated[
        dict[str, Any],
        Field(description=f"New values by key; null takes a key away. Keys: {', '.join(KEYS)}."),
    ]


class Changed(Model):
    """What became of the changes."""

    name: str
    applied: Annotated[list[str], Field(description="Keys that have their new values now.")]
    proposed: Annotated[list[str], Field(description="Keys that wait for a person's yes, because they widen it.")]
    proposal_id: str | None
    secrets_stored: list[str]
    next_step: str


def status(rooms: Rooms, server: Server) -> ServerStatus:
    """What can be said of a server now."""
    part = rooms.catalogue().parts.get(server.name)
    instance = server.existing(rooms.profile, rooms.caller.id) or server.best()
    standing = rooms.roster.standing(server.name)
    waits = standing in (Standing.PENDING, Standing.DENIED)
    reason = "it is disabled in the configuration" if server.spec.disabled else "nobody has needed it yet"
    if waits:
        reason = "a person has said no to it" if standing is Standing.DENIED else "it waits for a person's yes"
    if server.stopped:
        reason = "on request"
    if instance is not None and not waits:
        reason = instance.reason
    return ServerStatus(
        name=server.name,
        state=State.STOPPED if instance is None else instance.state,
        reason=rooms.redactor.text(reason),
        start=server.spec.start,
        approval=standing,
        tools=len(part.entries) if part else 0,
        pid=instance.pid if instance else None,
        seconds_in_state=round(anyio.current_time() - instance.since, 1) if instance else 0.0,
        restarts=instance.restarts if instance else 0,
        instances=sum(one.pid is not None for one in server),
        notes=[*(instance.listing.notes if instance else ()), *(part.notes if part else ())],
        last_stderr=instance.stderr.last_words() if instance and instance.state in DOWN else [],
        ignored=dict(instance.counts) if instance else {},
        tags=list(server.spec.tags),
    )


async def _list(rooms: Rooms, _: Nothing) -> ServerList:
    return ServerList(servers=[status(rooms, server) for server in rooms.supervisor])


async def _add(rooms: Rooms, asked: NewServer) -> Added:
    return await add(rooms, asked.name, asked.entry())


async def add(rooms: Rooms, name: str, entry: Mapping[str, Any]) -> Added:
    """Add a server, its literal secrets kept apart; for a person it is started once, to know its tools."""
    rooms.roster.check_new(name, entry)
    entry, stored = await keep_literals(rooms, name, entry)
    outcome = await rooms.roster.add(name, entry, rooms.caller)
    if outcome.proposal is None:
        await seen(rooms, name)
    now = status(rooms, rooms.supervisor.get(name))
    if now.approval is not Standing.APPROVED:
        step = _ask_for_a_yes(outcome)
    elif now.tools:
        step = f"Its tools are listed now; call_tool calls them at once, by names such as {name}__TOOL."
    else:
        step = f'See explain {{"name": "{name}"}}: {now.reason or now.state}.'
    return Added(
        name=name,
        approval=now.approval,
        proposal_id=outcome.proposal.id if outcome.proposal else None,
        state=now.state,
        tools=now.tools,
        secrets_stored=stored,
        next_step=step,
    )


async def seen(rooms: Rooms, name: str) -> None:
    """Wait until it is known what a server offers, or that it does not come up."""
    server = rooms.supervisor.get(name)
    if server.spec.disabled or server.spec.problems:
        return
    instance = server.existing(rooms.profile, rooms.caller.id) or server.best()
    if instance is None:
        instance = server.instance(rooms.profile, rooms.caller.id)
        instance.learn()
    with anyio.move_on_after(START_WAIT):
        await instance.settle()


async def _remove(rooms: Rooms, asked: Named) -> Removed:
    await rooms.roster.remove(asked.name)
    return Removed(name=asked.name, removed=True)


async def _configure(rooms: Rooms, asked: Changes) -> Changed:
    if not asked.changes:
        raise BadMessage("`changes` is empty; say which keys are to change.", number=INVALID_PARAMS)
    rooms.roster.check_change(asked.name, asked.changes)
    changes, stored = await keep_literals(rooms, asked.name, asked.changes)
    outcome = await rooms.roster.change(asked.name, changes, rooms.caller)
    return Changed(
        name=asked.name,
        applied=list(outcome.applied),
        proposed=list(outcome.proposed),
        proposal_id=outcome.proposal.id if outcome.proposal else None,
        secrets_stored=stored,
        next_step=_ask_for_a_yes(outcome) if outcome.proposal else "It is done.",
    )


def _ask_for_a_yes(outcome: Outcome) -> str:
    done = f"Applied: {', '.join(outcome.applied)}. " if outcome.applied and outcome.proposed else ""
    launch = outcome.proposal.launch if outcome.proposal else None
    missing = ""
    if launch and launch.argv and not launch.executable:
        missing = (
            f"There is no program {launch.argv[0]!r} on this machine: install it first, or correct `command` (only the "
            "program; what follows it belongs into `args`). "
        )
    return (
        f"{done}{missing}What was proposed does not run yet. Ask the person to run "
        f"`roundhouse approve {outcome.spec.name}` in a terminal: it "
        "shows exactly what would run. Then call its tools with call_tool, or list the tools again."
    )


async def _start(rooms: Rooms, asked: Named) -> ServerStatus:
    server = _approved(rooms, asked.name)
    return await _come_up(rooms, server, server.start(_instance(rooms, server)))


async def _stop(rooms: Rooms, asked: Named) -> ServerStatus:
    server = rooms.supervisor.get(asked.name)
    await server.stop()
    return status(rooms, server)


async def _restart(rooms: Rooms, asked: Named) -> ServerStatus:
    server = _approved(rooms, asked.name)
    return await _come_up(rooms, server, server.restart(_instance(rooms, server)))


def _instance(rooms: Rooms, server: Server) -> Instance:
    """The one to start: the caller's own; for a person, the one that clients use, where there is one."""
    used = server.best() if rooms.caller.person else None
    return used or server.instance(rooms.profile, rooms.caller.id)


def _approved(rooms: Rooms, name: str) -> Server:
    server = rooms.supervisor.get(name)
    if barred := rooms.roster.barred(name):
        raise barred
    return server


async def _come_up(rooms: Rooms, server: Server, instance: Instance) -> ServerStatus:
    """Wait until it is up, or until it is clear that it does not come up."""
    with anyio.move_on_after(START_WAIT):
        await instance.settle()
    if instance.state in (*DOWN, State.STOPPED):
        raise instance.unavailable("no")
    return status(rooms, server)


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

ADD_SERVER = Operation(
    name="add_server",
    title="Add a server",
    description=(
        "Adds an MCP server: a command to start (`uvx` with `mcp-server-git`, `npx` with `-y` and a package), or a "
        "url. It runs only after the person has approved exactly this command in a terminal; the answer says how to "
        "ask for that. Its tools then appear as NAME__tool, and call_tool reaches them at once."
    ),
    input=NewServer,
    output=Added,
    effects=Effects(reads_only=False, destroys=False, idempotent=False, open_world=True),
    role=Role.MANAGE,
    handler=_add,
)

REMOVE_SERVER = Operation(
    name="remove_server",
    title="Remove a server",
    description=(
        "Stops a server and removes it with its configuration and every approval: adding it again needs a new yes of "
        "the person. To only stop it, use stop_server."
    ),
    input=Named,
    output=Removed,
    effects=Effects(reads_only=False, destroys=True, idempotent=False, open_world=False),
    role=Role.MANAGE,
    handler=_remove,
)

CONFIGURE_SERVER = Operation(
    name="configure_server",
    title="Change a server's configuration",
    description=(
        "Changes keys of a server's entry. What narrows it (deny, a shorter allow, timeouts, start, idle_stop, tags) "
        "is done at once. What widens it (command, args, env, cwd, url, headers, a longer allow, rename, descriptions) "
        "waits for the person's yes, and it goes on as it was until then."
    ),
    input=Changes,
    output=Changed,
    effects=Effects(reads_only=False, destroys=True, idempotent=True, open_world=False),
    role=Role.MANAGE,
    handler=_configure,
)

START_SERVER = Operation(
    name="start_server",
    title="Start a server",
    description=(
        "Starts a server that is stopped or has failed, and waits until its tools can be called. Returns its status; "
        "if it does not come up, an error with the reason and its last output. Does nothing to one that runs. A call "
        "starts an on-demand server by itself, so this is for one that was stopped or has failed."
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
