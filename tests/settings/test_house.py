"""The settings of a home: every key, its default, and every mistake named with the path of the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.errors import BadConfiguration
from roundhouse.settings.house import PAYLOADS, Settings, load_settings
from roundhouse.store.payloads import Payloads

Write = Callable[[str | bytes], Settings]

KEYS = [field.name for field in fields(Settings)]


def written(home: Path, content: str | bytes) -> Settings:
    """What a home with this file has for settings."""
    (home / "settings.toml").write_bytes(content.encode() if isinstance(content, str) else content)
    return load_settings(home)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return lambda content: written(tmp_path, content)


def refusal(home: Path, content: str | bytes) -> str:
    """What is said of this content. It always begins with the path of the file."""
    with pytest.raises(BadConfiguration) as caught:
        written(home, content)
    path = f"{home / 'settings.toml'}: "
    assert str(caught.value).startswith(path)
    return str(caught.value).removeprefix(path)


# -- what is right


def test_a_home_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == Settings(
        idle_leave=900.0,
        expose="auto",
        list_budget=65_536,
        allow_unattended=False,
        env=(),
        log_payloads="full",
    )
    assert load_settings(tmp_path / "no" / "such" / "home") == Settings()


@pytest.mark.parametrize("content", ["", "\n", "# all as it comes\n", b"\xef\xbb\xbf"])
def test_a_file_that_says_nothing_leaves_the_defaults(write: Write, content: str | bytes) -> None:
    assert write(content) == Settings()


def test_every_key_is_taken_as_written(write: Write) -> None:
    said = {
        "idle_leave": ("0", 0),
        "expose": ('"search"', "search"),
        "list_budget": ("2048", 2048),
        "allow_unattended": ("true", True),
        "env": ('["HOME", "USER"]', ("HOME", "USER")),
        "log_payloads": ('"none"', "none"),
    }
    assert list(said) == KEYS  # or a key is read that nobody has looked at
    found = write("\n".join(f"{key} = {text}" for key, (text, _) in said.items()))
    assert {key: getattr(found, key) for key in KEYS} == {key: value for key, (_, value) in said.items()}


@pytest.mark.parametrize("key", KEYS)
def test_what_one_key_says_leaves_the_others_as_they_were(write: Write, key: str) -> None:
    text = {"idle_leave": "1.5", "allow_unattended": "true", "env": '["A"]', "list_budget": "4096"}
    found = write(f"{key} = {text.get(key, chr(34) + {'expose': 'all'}.get(key, 'shape') + chr(34))}")
    assert [one for one in KEYS if getattr(found, one) != getattr(Settings(), one)] == [key]


def test_what_may_be_logged_is_what_the_store_can_log() -> None:
    assert set(PAYLOADS) == {payloads.value for payloads in Payloads}


# -- what is wrong


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('expose = "some"', "expose holds 'some'; expected one of auto, all, search."),
        ("expose = true", "expose holds True; expected one of auto, all, search."),
        ('expose = ["all"]', "expose holds ['all']; expected one of auto, all, search."),
        ('log_payloads = "FULL"', "log_payloads holds 'FULL'; expected one of full, shape, none."),
        ('allow_unattended = "yes"', "allow_unattended holds a string; expected true or false."),
        ("allow_unattended = 1", "allow_unattended holds a number; expected true or false."),
        ("idle_leave = -1", "idle_leave holds -1; expected a number from 0 to 2,592,000."),
        ("idle_leave = 2592001", "idle_leave holds 2592001; expected a number from 0 to 2,592,000."),
        ("idle_leave = inf", "idle_leave holds inf; expected a number from 0 to 2,592,000."),
        ("idle_leave = nan", "idle_leave holds nan; expected a number from 0 to 2,592,000."),
        ("idle_leave = true", "idle_leave holds True; expected a number from 0 to 2,592,000."),
        ('idle_leave = "15m"', "idle_leave holds '15m'; expected a number from 0 to 2,592,000."),
        ("list_budget = 0", "list_budget holds 0; expected a number from 1,024 to 8,388,608."),
        ("list_budget = 1e9", "list_budget holds 1000000000.0; expected a number from 1,024 to 8,388,608."),
        ("list_budget = []", "list_budget holds []; expected a number from 1,024 to 8,388,608."),
        *(
            (f"env = {wrong}", 'env is no list of names of variables; expected for example ["HOME", "USER"].')
            for wrong in ('"HOME"', "true", '["A", 1]', '[""]', '{A = "x"}')
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_would(tmp_path: Path, content: str, told: str) -> None:
    assert refusal(tmp_path, content) == told


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("idle_leve", ": did you mean 'idle_leave'?"),
        ("Expose", ": did you mean 'expose'?"),
        ("servers", "."),
        ("x" * 10_000, "."),
    ],
)
def test_an_unknown_key_is_told_what_it_may_have_meant_and_what_there_is(tmp_path: Path, key: str, hint: str) -> None:
    said = refusal(tmp_path, f"{key} = 1")
    assert said == f"{key if len(key) < 100 else key[:100] + '...'} is not known{hint} Known: {', '.join(KEYS)}."


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    said = refusal(
        tmp_path,
        'expse = 1\nexpose = 1\nlog_payloads = 1\nallow_unattended = 1\nidle_leave = ""\nlist_budget = ""\nenv = 1',
    )
    for told in ("expse is not known", "env is no list", *(f"{key} holds " for key in KEYS if key != "env")):
        assert said.count(told) == 1, told


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("expose = all", "at line 1, column 10"),
        ('expose = "all"\nexpose = "auto"', "Cannot overwrite a value"),
        ('a = "', "at end of document"),
        ("[[", "at end of document"),
        ('{"expose": "all"}', "at line 1, column 1"),
        (b'expose = "\xff"', "0xff in position 10"),
        (b"\xff\xfee\x00", "0xff in position 0"),
        (f"idle_leave = {'9' * 5_000}", "5000 digits"),
        (f"a = {'[' * 5_000}", "recursion"),
    ],
)
def test_what_is_no_toml_is_named_with_its_place(tmp_path: Path, content: str | bytes, where: str) -> None:
    said = refusal(tmp_path, content)
    assert said.startswith("no TOML: ")
    assert where in said


def test_a_file_that_cannot_be_read_is_said_with_its_path_and_not_taken_for_missing(tmp_path: Path) -> None:
    """Defaults in its place would open what the person has closed."""
    path = tmp_path / "settings.toml"
    path.mkdir()
    with pytest.raises(BadConfiguration) as caught:
        load_settings(tmp_path)
    assert str(caught.value) == f"{path} cannot be read: Is a directory."
    path.rmdir()
    path.symlink_to(path)
    with pytest.raises(BadConfiguration, match="cannot be read: Too many levels of symbolic links"):
        load_settings(tmp_path)


VALUES = st.sampled_from(["1", "0", "-1", "1.5", "true", '"auto"', '"full"', '"x"', '["A"]', "[1]", "{}", "[", "nan"])
LINES = st.tuples(st.sampled_from([*KEYS, "x", "[table]", "[[env]]", '"a b"']), VALUES)


@settings(deadline=None, max_examples=300)
@given(st.lists(LINES, max_size=4).map(lambda lines: "\n".join(f"{key} = {value}" for key, value in lines)) | st.text())
def test_no_file_raises_anything_but_bad_configuration(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    try:
        found = written(tmp_path_factory.getbasetemp(), content.encode())
    except BadConfiguration as bad:
        said = str(bad)
    else:
        said = "It is fine."
        assert isinstance(found.env, tuple)
        assert isinstance(found.allow_unattended, bool)
        assert found.idle_leave >= 0
    assert said.endswith((".", "?"))
