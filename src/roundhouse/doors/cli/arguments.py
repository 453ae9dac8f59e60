"""`k=v` words as the arguments of a tool, typed by the tool's input schema. Pure.

A word is a string where the schema allows one, else the JSON it spells; `k:=JSON` is JSON whatever the schema says. A
schema is a stranger's: references are followed inside it only, and not far.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from roundhouse.doors.cli.failures import BadUsage
from roundhouse.errors import did_you_mean
from roundhouse.model.text import shorten

DEEPEST = 8  # references and alternatives followed before a schema counts as saying nothing

Schema = Mapping[str, Any]


def from_words(words: Iterable[str], schema: Schema) -> dict[str, Any]:
    """The arguments a command line gives.

    Raises: `BadUsage` naming the word, and what the tool takes.
    """
    given: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        explicit = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise BadUsage(f"{shorten(word)!r} is no argument: write name=value, or name:=JSON. {takes(schema)}")
        if name in given:
            raise BadUsage(f"{shorten(name)!r} is given twice; a list is written {shorten(name)}:='[...]'.")
        kinds = _kinds_of(name, schema)
        given[name] = _json(name, value, kinds) if explicit else typed(name, value, kinds)
    if missing := [name for name in _required(schema) if name not in given]:
        raise BadUsage(f"Missing: {', '.join(map(shorten, missing))}. {takes(schema)}")
    return given


def from_json(text: str) -> dict[str, Any]:
    """The arguments one JSON object gives.

    Raises: `BadUsage` for anything else.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as bad:
        raise BadUsage(f"What came on stdin is no JSON: {bad}.") from None
    if not isinstance(given, dict):
        raise BadUsage("What came on stdin is JSON, but no object of arguments by name.")
    return given


def typed(name: str, value: str, kinds: frozenset[str]) -> Any:
    """The value a word gives to an argument of these JSON Schema types; none means that nothing is known."""
    if not kinds or "string" in kinds:
        return value
    parsed = _json(name, value, kinds)
    if not _kind(parsed) & kinds:
        raise BadUsage(f"{shorten(name)} is {shorten(value)!r}; expected {_either(kinds)}.")
    return parsed


def takes(schema: Schema) -> str:
    """Every argument a tool takes, in a sentence."""
    properties = _mapping(schema.get("properties"))
    required = _required(schema)
    described = [
        f"{shorten(name)} ({_either(kinds(one, schema))}{', required' if name in required else ''})"
        for name, one in properties.items()
    ]
    return f"It takes: {', '.join(described)}." if described else "It takes no arguments."


def kinds(schema: object, root: Schema, deep: int = 0) -> frozenset[str]:
    """The JSON types a schema allows; none where it does not say."""
    if not isinstance(schema, Mapping) or deep > DEEPEST:
        return frozenset()
    if isinstance(reference := schema.get("$ref"), str):
        return kinds(_pointed(reference, root), root, deep + 1)
    if "type" in schema:
        said = schema["type"]
        return frozenset(one for one in (said if isinstance(said, list) else [said]) if isinstance(one, str))
    if isinstance(values := schema.get("enum"), list):
        return frozenset[str]().union(*map(_kind, values))
    if "const" in schema:
        return _kind(schema["const"])
    for word in ("anyOf", "oneOf"):
        if isinstance(several := schema.get(word), list):
            allowed = [kinds(one, root, deep + 1) for one in several]
            return frozenset[str]().union(*allowed) if all(allowed) else frozenset()
    if isinstance(several := schema.get("allOf"), list):
        return next(filter(None, (kinds(one, root, deep + 1) for one in several)), frozenset())
    return frozenset()


def _kinds_of(name: str, schema: Schema) -> frozenset[str]:
    properties = _mapping(schema.get("properties"))
    if name in properties:
        return kinds(properties[name], schema)
    if schema.get("additionalProperties") is False:
        raise BadUsage(f"There is no argument {shorten(name)!r}{did_you_mean(name, properties)} {takes(schema)}")
    return kinds(schema.get("additionalProperties"), schema)


def _json(name: str, value: str, kinds: frozenset[str]) -> Any:
    try:
        return json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        example = ", for example '[\"a\"]'" if "array" in kinds else ""
        shown = "no JSON" if kinds & {"array", "object"} else repr(shorten(value))  # a variable or header has secrets
        raise BadUsage(f"{shorten(name)} is {shown}; expected {_either(kinds)}, as JSON{example}.") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def _kind(value: object) -> frozenset[str]:
    """The types a value belongs to: a whole number is an integer and a number."""
    match value:
        case None:
            return frozenset({"null"})
        case bool():
            return frozenset({"boolean"})
        case int():
            return frozenset({"integer", "number"})
        case float():
            return frozenset({"number", "integer"} if value.is_integer() else {"number"})
        case str():
            return frozenset({"string"})
        case list():
            return frozenset({"array"})
        case _:
            return frozenset({"object"})


def _either(kinds: frozenset[str]) -> str:
    return " or ".join(sorted(map(shorten, kinds))) or "any JSON"


def _pointed(reference: str, root: Schema) -> object:
    found: object = root
    if not reference.startswith("#"):
        return None
    for step in filter(None, reference[1:].split("/")):
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


def _required(schema: Schema) -> Sequence[str]:
    required = schema.get("required")
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
