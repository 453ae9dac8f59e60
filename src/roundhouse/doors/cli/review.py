"""What a person judges before a yes: the whole launch, every character of it, and at its end what an eye could miss.

Nothing is cut and nothing is paged. What is odd stands last, next to the question, where no long argument can push it
off the screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from roundhouse.doors.cli.spelling import oddities, spell, unhide
from roundhouse.doors.cli.words import moment, number

NO_ISOLATION = "none: runs with your rights"
LABEL = 12  # columns of the words before the facts

Approval = Mapping[str, Any]


def proposal(name: str, entry: Mapping[str, Any]) -> Approval:
    """What an entry of a configuration would start, in the form of an approval that is asked for here and now."""
    args, env = entry.get("args"), entry.get("env")
    argv = [entry["command"], *(args if isinstance(args, list) else ())] if entry.get("command") else []
    return {
        "server": name,
        "kind": "add",
        "argv": list(map(str, argv)),
        "environment": [_variable(*one) for one in env.items()] if isinstance(env, dict) else [],
        "cwd": entry.get("cwd"),
        "isolation": NO_ISOLATION if argv else "",
        "url": entry.get("url"),
        "headers": list(entry.get("headers") or ()),
    }


def review(approval: Approval) -> Iterator[str]:
    """The lines to be read before the question."""
    kind = "a change of what was approved" if approval.get("kind") == "change" else "a new server"
    yield f"{unhide(approval['server'])}: {kind}"
    for label, facts in _facts(approval):
        for position, fact in enumerate(facts):
            yield f"  {label if not position else '':<{LABEL}}{fact}"
    for what, text in _strings(approval):
        for oddity in oddities(text):
            yield f"  LOOK TWICE: {what} {oddity}."


def _facts(approval: Approval) -> Iterator[tuple[str, Sequence[str]]]:
    if approval.get("asked_by"):
        at = f", {moment(approval['asked_at'])}" if approval.get("asked_at") else ""
        yield "asked by", [f"{unhide(approval['asked_by'])}{at}"]
    if approval.get("id"):
        yield "id", [unhide(approval["id"])]
    if argv := approval.get("argv"):
        width = len(str(len(argv)))
        lines = [f"{position:>{width}}  {spell(word)}" for position, word in enumerate(argv, 1)]
        yield "command", [f"{number(len(argv), 'word')}, one a line", *lines]
    if argv and "executable" in approval:
        executable = approval["executable"]
        yield "executable", [spell(executable) if executable else "not found on this machine"]
    if url := approval.get("url"):
        yield "address", [spell(url)]
    if headers := approval.get("headers"):
        yield "headers", [f"{spell(name)} (value not shown)" for name in headers]
    if environment := approval.get("environment"):
        yield "variables", [f"{spell(one['name'])} {_origin(one)}" for one in environment]
    if argv:
        yield "directory", [spell(approval["cwd"]) if approval.get("cwd") else "the house's own"]
    if isolation := approval.get("isolation"):
        yield "isolation", [unhide(isolation)]
    if changes := approval.get("changes"):
        yield "changed", [unhide(change) for change in changes]


def _strings(approval: Approval) -> Iterable[tuple[str, str]]:
    """Every string that was chosen by somebody else, with what to call it."""
    yield "the name", approval["server"]
    for position, word in enumerate(approval.get("argv") or (), 1):
        yield f"word {position} of the command", word
    for what, key in (("the executable", "executable"), ("the address", "url"), ("the directory", "cwd")):
        if approval.get(key):
            yield what, approval[key]
    for position, one in enumerate(approval.get("environment") or (), 1):
        yield f"the name of variable {position}", one["name"]
    for position, header in enumerate(approval.get("headers") or (), 1):
        yield f"the name of header {position}", header


def _origin(variable: Mapping[str, Any]) -> str:
    secret = unhide(variable.get("secret") or "")
    match variable.get("kind"):
        case "secret":
            return f"= the SECRET {secret}" if secret else "= a SECRET"
        case "env":
            return f"= the house's variable {secret}" if secret else "= a variable of the house's own environment"
        case _:
            return "= a value (not shown)"


def _variable(name: str, value: object) -> Mapping[str, Any]:
    for kind in ("secret", "env"):
        _, reference, rest = str(value).partition(f"${{{kind}:")
        if reference and "}" in rest:
            return {"name": name, "kind": kind, "secret": rest.partition("}")[0]}
    return {"name": name, "kind": "literal", "secret": None}
