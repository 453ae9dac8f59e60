"""The states of an instance: every event in every state has one meaning, and no way leads where the table does not."""

from __future__ import annotations

import random
from itertools import product

import pytest

from roundhouse.supervise.states import TRANSITIONS, Event, State, after

# Section 5 of the design, as far as there are events for it. What is not here changes nothing.
TABLE = """
    stopped   START      starting
    starting  LISTED     ready
    starting  ENDED      backoff
    starting  REFUSED    failed
    ready     TROUBLED   degraded
    ready     ENDED      backoff
    ready     UNUSED     stopped
    degraded  ENDED      backoff
    degraded  UNUSED     stopped
    degraded  RECOVERED  ready
    backoff   TIMER      starting
    backoff   EXHAUSTED  failed
    failed    START      starting
    failed    TIMER      starting
    starting  STOP       stopping
    ready     STOP       stopping
    degraded  STOP       stopping
    backoff   STOP       stopping
    failed    STOP       stopping
    stopping  GONE       stopped
"""
ROWS = [line.split() for line in TABLE.splitlines() if line.strip()]
MEANT = {(State(state), Event[event]): State(following) for state, event, following in ROWS}


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)), ids=lambda one: one.name)
def test_every_event_in_every_state_leads_where_the_design_says(state: State, event: Event) -> None:
    assert after(state, event) is MEANT.get((state, event), state)


def test_the_table_has_no_rows_besides() -> None:
    assert set(TRANSITIONS) == set(MEANT)


def test_every_event_means_something_and_every_state_can_be_reached_and_left() -> None:
    assert {event for _, event in TRANSITIONS} == set(Event)
    assert set(TRANSITIONS.values()) == set(State)
    assert {state for state, _ in TRANSITIONS} == set(State)


def test_the_public_names_of_states_are_what_clients_have_seen() -> None:
    assert [state.value for state in State] == [
        "stopped",
        "starting",
        "ready",
        "degraded",
        "backoff",
        "failed",
        "stopping",
    ]


@pytest.mark.parametrize("state", State)
def test_a_stop_ends_stopped_from_every_state(state: State) -> None:
    assert after(after(state, Event.STOP), Event.GONE) is State.STOPPED


@pytest.mark.parametrize("state", [state for state in State if state is not State.STOPPING])
def test_from_every_state_but_stopping_there_is_a_way_to_ready(state: State) -> None:
    reached = {state}
    for _ in State:
        reached |= {after(one, event) for one in reached for event in set(Event) - {Event.STOP}}
    assert State.READY in reached


def test_what_is_stopping_can_only_become_stopped() -> None:
    assert {after(State.STOPPING, event) for event in Event} == {State.STOPPING, State.STOPPED}


def test_ten_thousand_random_traces_show_no_illegal_step() -> None:
    chance, events = random.Random(22), list(Event)
    entered = dict.fromkeys(State, 0)
    for _ in range(10_000):
        state = State.STOPPED
        for event in chance.choices(events, k=30):
            before, state = state, after(state, event)
            if state is before:
                continue
            entered[state] += 1
            match state:
                case State.READY:  # earned by the handshake, or by probes of what had earned it
                    assert (before, event) in {(State.STARTING, Event.LISTED), (State.DEGRADED, Event.RECOVERED)}
                case State.STARTING:  # never while a process may still be there
                    assert before in {State.STOPPED, State.BACKOFF, State.FAILED}
                case State.STOPPED:  # only when its last process has left, or when nobody misses it
                    assert (before, event) == (State.STOPPING, Event.GONE) or (
                        before in {State.READY, State.DEGRADED} and event is Event.UNUSED
                    )
                case State.DEGRADED:
                    assert before is State.READY
                case State.BACKOFF:
                    assert event is Event.ENDED
                case State.FAILED:
                    assert event in {Event.REFUSED, Event.EXHAUSTED}
                case State.STOPPING:
                    assert event is Event.STOP
    assert min(entered.values()) > 1_000  # or the traces say nothing
