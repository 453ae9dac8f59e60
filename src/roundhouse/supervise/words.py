"""What is said of an instance that cannot be called: its state in words, and the next step. Pure."""

from __future__ import annotations

from roundhouse.model.servers import ServerSpec
from roundhouse.supervise.states import State

_IN_WORDS = {
    State.STOPPED: "is stopped",
    State.STARTING: "is still starting",
    State.READY: "is ready",
    State.DEGRADED: "is degraded",
    State.BACKOFF: "is down for the moment",
    State.FAILED: "has failed",
    State.STOPPING: "is stopping",
}


def in_words(state: State) -> str:
    """A state, to follow the server's name."""
    return _IN_WORDS[state]


def advice(spec: ServerSpec, state: State, wait: float) -> str:
    """What to do about a server in this state.

    Args:
        wait: seconds until it is started again.
    """
    match state:
        case State.STOPPED | State.STOPPING:
            return f'Start it with start_server {{"name": "{spec.name}"}}.'
        case State.BACKOFF:
            return f"It is started again in {wait:.0f} s; call then, or see read_logs."
        case State.STARTING:
            return f'Call again, or see read_logs {{"name": "{spec.name}"}} for what it waits for.'
        case State.FAILED if spec.problems:
            return "Correct its entry in the configuration file, then restart Roundhouse, which reads it at its start."
        case State.DEGRADED:
            return "It is being probed and comes back by itself if it answers; call again in a few seconds."
        case _:
            return (
                f'Mend the cause (read_logs {{"name": "{spec.name}"}} shows its output), '
                f'then restart_server {{"name": "{spec.name}"}}.'
            )
