"""Failures: a stable code each, the facts that are known, and the name that was probably meant."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from roundhouse import errors
from roundhouse.errors import (
    COMPARED,
    SHOWN,
    BadMessage,
    NotFound,
    RoundhouseError,
    ServerBusy,
    ServerUnavailable,
    did_you_mean,
    with_stderr,
)

# Clients match on these. Codes are added, never renamed.
CODES = {
    "RoundhouseError": "RH_INTERNAL",
    "BadConfiguration": "RH_BAD_CONFIGURATION",
    "BadMessage": "RH_BAD_MESSAGE",
    "NotFound": "RH_NOT_FOUND",
    "CommandNotFound": "RH_COMMAND_NOT_FOUND",
    "ServerUnavailable": "RH_SERVER_UNAVAILABLE",
    "ServerBusy": "RH_SERVER_BUSY",
    "BadAnswer": "RH_BAD_ANSWER",
    "TooLarge": "RH_MESSAGE_TOO_LARGE",
    "CallTimeout": "RH_CALL_TIMEOUT",
}


def all_of(kind: type[RoundhouseError]) -> Iterator[type[RoundhouseError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from all_of(one)


def test_every_failure_has_its_stable_code() -> None:
    here = {kind.__name__: kind.code for kind in all_of(RoundhouseError) if kind.__module__ == errors.__name__}
    assert {name: here.get(name) for name in CODES} == CODES


def test_no_two_failures_share_a_code() -> None:
    codes = [kind.code for kind in all_of(RoundhouseError)]
    assert sorted(set(codes)) == sorted(codes)
    assert all(code.startswith("RH_") and code.isupper() for code in codes)


def test_facts_that_say_nothing_are_left_out_and_false_and_zero_are_not() -> None:
    error = RoundhouseError("x", none=None, text="", items=[], pair=(), no=False, zero=0, some=["y"], name="z")
    assert error.facts == {"no": False, "zero": 0, "some": ["y"], "name": "z"}
    assert str(error) == "x"


def test_a_bad_message_has_the_number_it_was_given_and_others_that_of_their_class() -> None:
    assert BadMessage("x").number == errors.INVALID_REQUEST
    assert BadMessage("x", number=errors.METHOD_NOT_FOUND).number == errors.METHOD_NOT_FOUND
    assert BadMessage.number != errors.METHOD_NOT_FOUND


@pytest.mark.parametrize(("sent", "retryable"), [("no", True), ("yes", False), ("unknown", False)])
@pytest.mark.parametrize("kind", [ServerUnavailable, ServerBusy])
def test_a_call_may_be_repeated_only_when_nothing_was_sent(
    kind: type[ServerUnavailable], sent: str, retryable: bool
) -> None:
    error = kind("x", server="a", sent=sent)
    assert error.retryable is retryable
    assert error.facts == {"server": "a", "sent": sent}


def test_the_last_lines_of_a_server_stand_in_the_message_and_in_the_facts() -> None:
    error = ServerUnavailable("It is gone.", server="a", sent="no", stderr=("one", "two"))
    assert str(error) == "It is gone. Its last lines on stderr: one | two"
    assert error.facts["stderr"] == ["one", "two"]
    assert with_stderr("It is gone.", []) == "It is gone."


def test_what_is_not_found_is_named_with_what_was_probably_meant_and_where_to_look() -> None:
    error = NotFound("tool", "git__statsu", ["time__now", "git__status"], hint="Look there.", server="git")
    assert str(error) == "There is no tool named 'git__statsu': did you mean 'git__status'? Look there."
    assert error.facts == {"name": "git__statsu", "server": "git"}
    assert (error.kind, error.name) == ("tool", "git__statsu")
    assert str(NotFound("server", "x")) == "There is no server named 'x'."


def test_a_wrong_name_without_end_is_repeated_only_in_part() -> None:
    wrong = "x" * 100_000
    error = NotFound("tool", wrong, ["xx"])
    assert len(str(error)) < 2 * SHOWN
    assert len(json.dumps(dict(error.facts))) < 2 * SHOWN
    assert error.name == wrong


@pytest.mark.parametrize(
    ("name", "meant"),
    [("gti", "git"), ("git", "git"), ("time_", "time"), ("zzz", None), ("", None), ("\ud800it", "git")],
)
def test_the_closest_known_name_is_suggested(name: str, meant: str | None) -> None:
    assert did_you_mean(name, ["time", "git"]) == (f": did you mean {meant!r}?" if meant else ".")


def test_no_known_names_are_no_suggestion() -> None:
    assert did_you_mean("git", []) == did_you_mean("git", iter(())) == "."


def test_a_name_is_compared_with_as_many_as_the_hint_is_worth() -> None:
    known = iter([*(f"zz{number}" for number in range(COMPARED - 1)), "git", "gti"])
    assert did_you_mean("gti", known) == ": did you mean 'git'?"
    assert next(known) == "gti"
