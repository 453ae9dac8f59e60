"""What the call log keeps of arguments and results."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundhouse.model.calls import KEPT
from roundhouse.store.payloads import LONGEST_SECRET, Payloads, payload, plain, shape
from tests.pace import slowness

SECRET = "sk-" + "s" * 60


def redact(text: str) -> str:
    return text.replace(SECRET, "[secret]")


def kept(text: str, how: Payloads = Payloads.FULL, whole: int | None = None) -> str:
    data = text.encode()[:KEPT]
    return payload(data, len(text.encode()) if whole is None else whole, redact, how)


def test_full_is_the_text_without_its_secrets() -> None:
    assert kept(f'{{"key": "{SECRET}", "n": 1}}') == '{"key": "[secret]", "n": 1}'


def test_none_is_nothing() -> None:
    assert kept('{"key": 1}', Payloads.NONE) == ""


@pytest.mark.parametrize("before", range(KEPT - len(SECRET) - 5, KEPT + 5))
def test_no_part_of_a_secret_is_kept_wherever_the_text_was_cut(before: int) -> None:
    text = kept("x" * before + SECRET + "y" * 100)
    assert "sk-" not in text
    assert "ss" not in text
    assert len(text) >= KEPT - LONGEST_SECRET - len(SECRET)


def test_secrets_that_become_shorter_do_not_let_the_end_of_the_text_slip_in() -> None:
    text = kept(SECRET * 1000)
    assert text.replace("[secret]", "") == ""


def test_a_redaction_that_makes_text_longer_does_not_make_rows_longer() -> None:
    assert len(payload(b"x" * KEPT, KEPT, lambda text: text * 2, Payloads.FULL)) == KEPT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"path": "/etc", "n": -1.5e3, "ok": true, "no": null}',
            '{"path": string, "n": number, "ok": boolean, "no": null}',
        ),
        ('{"a" : [{"b": []}, "c"]}', '{"a": [{"b": []}, string]}'),
        ('"plain"', "string"),
        ('{"q\\"uote": "a\\"b: c"}', '{"q\\"uote": string}'),
        ('{"a": "cut in the mid', '{"a": '),
        ('{"a": "cut after a backslash\\', '{"a": '),
        ('{"a": "x", "cut in a ke', '{"a": string, '),
        ("", ""),
        ("neither JSON nor anything", ""),
    ],
)
def test_the_shape_has_keys_and_types_and_no_values(text: str, expected: str) -> None:
    assert shape(text) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["key", 'a"b', "\\", "ü:"]), inner),
)


@given(JSON, st.booleans(), st.integers(min_value=0))
def test_no_value_is_in_the_shape_of_any_json_wherever_it_is_cut(value: object, ascii_only: bool, cut: int) -> None:
    marked = json.loads(json.dumps(value), parse_float=lambda _: 7777.5, parse_int=lambda _: 7777)
    text = json.dumps(mark(marked), ensure_ascii=ascii_only)
    text = text[: cut % (len(text) + 1)]
    assert "7777" not in shape(text)
    assert "VALUE" not in shape(text)


def mark(value: object) -> object:
    """Every text says that it is a value."""
    if isinstance(value, dict):
        return {key: mark(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [mark(inner) for inner in value]
    return f'VALUE": {value} VALUE' if isinstance(value, str) else value


def test_keys_in_the_shape_are_redacted_too() -> None:
    assert kept(f'{{"{SECRET}": 1}}', Payloads.SHAPE) == '{"[secret]": number}'


@pytest.mark.parametrize("text", ['"' * KEPT, '\\"' * (KEPT // 2), '"\\' * (KEPT // 2), "[" * KEPT, "1-" * (KEPT // 2)])
def test_the_shape_of_a_hostile_text_is_found_at_once(text: str) -> None:
    begun = time.monotonic()
    shape(text)
    assert time.monotonic() - begun < 0.5 * slowness()


def test_what_a_database_does_not_take_is_replaced() -> None:
    assert plain("a\0b\ud800c") == "a\ufffdb?c"
    assert payload(b"a\xff\0", 3, str, Payloads.FULL) == "a\ufffd\ufffd"
