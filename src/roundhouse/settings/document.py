"""A JSON document that a person wrote: read whole, with the place of whatever is wrong with it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from roundhouse.errors import BadConfiguration

LONGEST_FILE = 10 * 1024 * 1024  # bytes; a configuration is written by people


def read_document(path: Path) -> object:
    """What a JSON file holds. Raises: `BadConfiguration` with the place and a hint."""
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(LONGEST_FILE + 1)
    except FileNotFoundError:
        raise BadConfiguration(f"There is no file {path}. Create it, or correct --config.") from None
    except (OSError, RuntimeError) as bad:  # RuntimeError: the home of a user there is not
        raise BadConfiguration(f"{path} cannot be read: {getattr(bad, 'strerror', None) or bad}.") from None
    if len(data) > LONGEST_FILE:
        raise BadConfiguration(f"{path} is larger than {LONGEST_FILE:,} bytes; that is no configuration.")
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=Object.of, parse_constant=_no_constant, parse_int=_whole_number)
    except UnicodeDecodeError as bad:
        line = bad.object.count(b"\n", 0, bad.start) + 1
        raise BadConfiguration(f"{path}, line {line}: byte {bad.object[bad.start]:#04x} is not UTF-8.") from None
    except json.JSONDecodeError as bad:
        raise BadConfiguration(
            f"{path}, line {bad.lineno}, column {bad.colno}: no JSON: {bad.msg}.{_hint(bad)}"
        ) from None
    except ValueError as bad:
        raise BadConfiguration(f"{path}: no JSON: {bad}.") from None
    except RecursionError:
        raise BadConfiguration(f"{path}: it is nested too deep to be a configuration.") from None


class Object(dict[str, Any]):
    """A JSON object that knows which of its names came twice."""

    repeated: frozenset[str] = frozenset()

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> Object:
        found = cls(pairs)
        if len(found) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            found.repeated = frozenset(name for name, count in counts.items() if count > 1)
        return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def _whole_number(digits: str) -> float:
    return int(digits) if len(digits) < 20 else float(digits)


def _hint(bad: json.JSONDecodeError) -> str:
    before = bad.doc[: bad.pos].rstrip()
    if not bad.doc.strip():
        return " The file is empty."
    if bad.doc[bad.pos : bad.pos + 2] in ("//", "/*") or bad.doc[bad.pos : bad.pos + 1] == "#":
        return " JSON has no comments."
    if before.endswith(",") and bad.doc[bad.pos : bad.pos + 1] in ("}", "]"):
        return " Remove the comma before it."
    return ""


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"
