"""The operation that says how servers are, with reasons."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from roundhouse.model.health import Level, Sample
from roundhouse.operations.operation import Effects, Model, Operation, Role
from roundhouse.operations.rooms import Rooms
from roundhouse.supervise.server import Server
from roundhouse.supervise.states import State

SHOWN = 10  # samples; the store has a week of them
MEGABYTE = 1_000_000
_BADNESS = (Level.STOPPED, Level.UNKNOWN, Level.HEALTHY, Level.WATCH, Level.SICK)  # the worst instance speaks for all


class Whose(Model):
    """Which server; all, where none is named."""

    name: Annotated[str | None, Field(default=None, description="A server's name. Otherwise all servers.")]


class Measured(Model):
    """What was seen of it at one moment."""

    at: Annotated[float, Field(description="Seconds since the epoch.")]
    state: str
    ping_ms: float | None
    error: str
    memory_mb: float | None
    cpu_percent: float | None


class ServerHealth(Model):
    """How one server is."""

    name: str
    level: Level
    reasons: Annotated[list[str], Field(description="Why, with numbers, and what to do. Empty: nothing to say.")]
    state: State
    uptime_seconds: float | None
    memory_mb: float | None
    cpu_percent: Annotated[float | None, Field(description="Of one core.")]
    descriptors: int | None
    children: int | None
    ping_ms: float | None
    restarts: int
    history: Annotated[list[Measured], Field(description="The last samples, oldest first.")]


class Health(Model):
    """How the servers are."""

    servers: list[ServerHealth]


async def _check(rooms: Rooms, asked: Whose) -> Health:
    servers = list(rooms.supervisor) if asked.name is None else [rooms.supervisor.get(asked.name)]
    return Health(servers=[_health(rooms, server, len(servers) == 1) for server in servers])


def _health(rooms: Rooms, server: Server, whole: bool) -> ServerHealth:
    instances = list(server)
    verdicts = {instance: rooms.watch.verdict(instance) for instance in instances}
    instance = max(instances, key=lambda one: _BADNESS.index(verdicts[one].level), default=None)
    samples = rooms.watch.samples(instance) if instance else ()
    verdict = verdicts[instance] if instance else None
    last = samples[-1] if samples else None
    return ServerHealth(
        name=server.name,
        level=verdict.level if verdict else Level.STOPPED,
        reasons=[rooms.redactor.text(reason) for reason in verdict.reasons] if verdict else [],
        state=instance.state if instance else State.STOPPED,
        uptime_seconds=last.uptime if last and instance and instance.pid else None,
        memory_mb=_megabytes(last),
        cpu_percent=last.cpu if last else None,
        descriptors=last.fds if last else None,
        children=last.children if last else None,
        ping_ms=last.ping_ms if last else None,
        restarts=sum(one.restarts for one in instances),
        history=[_measured(sample) for sample in samples[-SHOWN:]] if whole else [],
    )


def _measured(sample: Sample) -> Measured:
    return Measured(
        at=sample.at,
        state=sample.state,
        ping_ms=sample.ping_ms,
        error=sample.error,
        memory_mb=_megabytes(sample),
        cpu_percent=sample.cpu,
    )


def _megabytes(sample: Sample | None) -> float | None:
    return None if sample is None or sample.rss is None else round(sample.rss / MEGABYTE, 1)


CHECK_HEALTH = Operation(
    name="check_health",
    title="Check the servers' health",
    description=(
        "Says how each server is, in a word and with reasons: whether it answers, how fast, its memory, processor, "
        "descriptors, child processes, restarts. Name one server for its last samples too. A stopped on-demand server "
        "is well. Use it when calls are slow or fail now and then."
    ),
    input=Whose,
    output=Health,
    effects=Effects(reads_only=True, destroys=False, idempotent=True, open_world=False),
    role=Role.READ,
    handler=_check,
)
