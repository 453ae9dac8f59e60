"""A secret's value shows itself to nobody by accident, and its name says how it is to be written."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from dataclasses import dataclass

import pytest

from roundhouse.errors import RoundhouseError
from roundhouse.vault.errors import BadSecret, SecretBound, SecretMissing, VariableMissing
from roundhouse.vault.secret import LONGEST_VALUE, Secret, check_name, name_from

VALUE = "hunter2-canary"


@dataclass(frozen=True)
class Holder:
    secret: Secret


def test_a_secret_shows_stars_however_it_is_printed(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(VALUE)
    logging.getLogger("test").warning("starting with %s and %r", secret, Holder(secret))
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>20}", f"{secret!r}", "%s" % secret, caplog.text]  # noqa: UP031
    assert not [text for text in shown if VALUE in text]
    assert all("***" in text for text in shown)
    assert secret.reveal() == VALUE


def test_a_secret_is_not_compared_hashed_pickled_copied_or_made_json_by_accident() -> None:
    secret = Secret(VALUE)
    with pytest.raises(TypeError, match="not compared"):
        _ = secret == Secret(VALUE)
    with pytest.raises(TypeError, match="not compared"):
        _ = secret != VALUE
    with pytest.raises(TypeError, match="unhashable"):
        hash(secret)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
    with pytest.raises(TypeError, match="not pickled"):
        copy.deepcopy(Holder(secret))
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(secret)
    with pytest.raises(TypeError):
        vars(secret)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"value", "value"),
        (b"value\n", "value"),
        (b"value\r\n", "value"),
        (b"value\n\n", "value\n"),
        (b" two words \n", " two words "),
        (b"-----BEGIN KEY-----\nabc\n-----END KEY-----\n", "-----BEGIN KEY-----\nabc\n-----END KEY-----"),
        ("pässwörd\n".encode(), "pässwörd"),
    ],
)
def test_of_what_was_typed_exactly_the_newline_that_ends_it_is_taken_off(data: bytes, value: str) -> None:
    assert Secret.typed(data).reveal() == value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"a\0b", "NUL"),
        (b"\xff\xfe", "UTF-8"),
        (b"x" * (LONGEST_VALUE + 1), f"{LONGEST_VALUE + 1:,} bytes"),
    ],
)
def test_what_no_process_could_be_given_is_refused_without_being_repeated(data: bytes, said: str) -> None:
    with pytest.raises(BadSecret, match=said) as caught:
        Secret.typed(data)
    assert len(str(caught.value)) < 300


def test_a_value_of_the_full_length_is_taken_and_half_a_surrogate_pair_is_not() -> None:
    assert len(Secret("x" * LONGEST_VALUE).reveal()) == LONGEST_VALUE
    with pytest.raises(BadSecret, match="surrogate"):
        Secret("a\ud800b")


@pytest.mark.parametrize("name", ["A", "GITHUB_TOKEN", "T2", "A" * 64])
def test_names_are_capitals_digits_and_underscores(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("github_token", "GITHUB_TOKEN"),
        ("github-token", "GITHUB_TOKEN"),
        ("githubToken", "GITHUB_TOKEN"),
        ("2FA", "N2FA"),
        ("_X", "X"),
        ("A" * 65, "A" * 64),
        ("tökén", "T_K_N"),
    ],
)
def test_another_name_is_refused_with_one_that_could_be_meant(name: str, suggested: str) -> None:
    with pytest.raises(BadSecret, match=rf"for example {suggested}\."):
        check_name(name)
    check_name(suggested)


def test_names_that_leave_nothing_to_suggest_are_refused_all_the_same() -> None:
    for name in ("", "___", "漢字", "\n"):
        with pytest.raises(BadSecret, match="beginning with a letter"):
            check_name(name)


@pytest.mark.parametrize(
    "value", ["TOKEN=hunter2", "ghp_0123456789abcdefghijABCDEFGHIJ123456", "xK9fQ2mZ8vL4pR7tW1yB6nC3"]
)
def test_a_value_given_in_place_of_a_name_is_not_repeated(value: str) -> None:
    with pytest.raises(BadSecret, match="looks like a value") as caught:
        check_name(value)
    assert value not in str(caught.value)
    assert value not in repr(caught.value.facts)
    assert name_from(value) not in str(caught.value)


def test_failures_name_the_secret_the_server_and_the_command_that_mends() -> None:
    missing: RoundhouseError = SecretMissing("GIT_TOKEN", "git")
    assert "`roundhouse secret set GIT_TOKEN`" in str(missing)
    assert "'git'" in str(missing)
    assert missing.facts == {"name": "GIT_TOKEN", "server": "git"}
    unset = VariableMissing("http_proxy", "git")
    assert "${env:http_proxy}" in str(unset)
    assert "`roundhouse secret set HTTP_PROXY`" in str(unset)
    assert str(SecretBound("no", name="GIT_TOKEN", server="git")) == "no"
    codes = {missing.code, unset.code, SecretBound.code, BadSecret.code}
    assert codes == {"RH_SECRET_MISSING", "RH_VARIABLE_MISSING", "RH_SECRET_BOUND", "RH_BAD_SECRET"}
