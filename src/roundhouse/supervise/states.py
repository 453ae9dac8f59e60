"""The states of an instance and every way from one to another, as data. The table stands in docs/supervision.md too."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    BACKOFF = "backoff"
    FAILED = "failed"
    STOPPING = "stopping"


class Event(StrEnum):
    START = "start"  # somebody wants it, and it may run
    LISTED = "handshake and lists done"
    ENDED = "exit, timeout or broken pipe"
    UNUSED = "exit, on-demand and unused"
    REFUSED = "command not found, bad configuration, not approved"
    TROUBLED = "3 failed probes, or 5 transport errors in a row"
    RECOVERED = "2 half-open probes ok"
    TIMER = "the delay is over"
    EXHAUSTED = "more than 5 restarts in 60 s"
    STOP = "idle, removed, changed, stop, leaving"
    GONE = "the last process has left"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.STOPPED, Event.START): State.STARTING,
    (State.STARTING, Event.LISTED): State.READY,
    (State.STARTING, Event.ENDED): State.BACKOFF,
    (State.STARTING, Event.REFUSED): State.FAILED,
    (State.STARTING, Event.STOP): State.STOPPING,
    (State.READY, Event.TROUBLED): State.DEGRADED,
    (State.READY, Event.ENDED): State.BACKOFF,
    (State.READY, Event.UNUSED): State.STOPPED,
    (State.READY, Event.STOP): State.STOPPING,
    (State.DEGRADED, Event.RECOVERED): State.READY,
    (State.DEGRADED, Event.ENDED): State.BACKOFF,
    (State.DEGRADED, Event.UNUSED): State.STOPPED,
    (State.DEGRADED, Event.STOP): State.STOPPING,
    (State.BACKOFF, Event.TIMER): State.STARTING,
    (State.BACKOFF, Event.EXHAUSTED): State.FAILED,
    (State.BACKOFF, Event.STOP): State.STOPPING,
    (State.FAILED, Event.START): State.STARTING,
    (State.FAILED, Event.TIMER): State.STARTING,
    (State.FAILED, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.GONE): State.STOPPED,
}


def after(state: State, event: Event) -> State:
    """The state that follows. An event that means nothing in a state leaves it as it is."""
    return TRANSITIONS.get((state, event), state)
