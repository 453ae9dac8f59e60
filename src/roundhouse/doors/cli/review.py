"""What a person judges before a yes: the whole launch, every character of it, and at its end what an eye could miss.

Nothing is cut and nothing is paged. What is odd stands last, next to the question, where no long argument can push it
off the screen. The warnings help to read; nothing relies on them being complete.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from roundhouse.doors.cli.spelling import oddities, spell, unhide
from roundhouse.doors.cli.words import moment, number

LABEL = 12  # columns of the words before the facts
NOT_FOUND = "NOT FOUND on this machine: it cannot run, and would need another yes once it is installed"
TOOL_KEYS = ("rename", "descriptions", "allow", "deny")  # what decides which tools a model is shown, and as what

# Variables by which a program, or the runner that fetches it, is made to run something else than its command says.
_DECIDES = re.compile(
    r"PATH|HOME|SHELL|ENV|BASH_ENV|(LD|DYLD|GIT|UV|PIP|NPM_CONFIG)_.*|NODE_(OPTIONS|PATH)|(PYTHON|PERL5|RUBY).*"
    r"|(.*_)?INDEX_URL|XDG_CONFIG_HOME|(JDK)?_?JAVA(_TOOL)?_OPTIONS|SHELLOPTS|BASHOPTS|PROMPT_COMMAND|ZDOTDIR"
    r"|.*_ASKPASS|EDITOR|VISUAL|PAGER",
    re.IGNORECASE,  # npm reads its own in small letters and in capitals
)
# Programs that run a text of the command line as code, and the words after which it stands.
_INTERPRETERS = tuple(
    (re.compile(program), re.compile(flag))
    for program, flag in (
        (r"(ba|z|da|k|mk|a|c|tc|fi)?sh|busybox", r"-[A-Za-z]*c.*|--command(=.*)?"),
        (r"pwsh", r"(?i:-(c|e|ec|command|encodedcommand))"),
        (r"(python|pypy)[0-9.]*w?", r"-[A-Za-z]*c.*"),
        (r"node|nodejs|bun|deno|tsx", r"-[A-Za-z]*[ep].*|--(eval|print)(=.*)?|eval"),
        (r"perl[0-9.]*|ruby[0-9.]*|lua[0-9.]*|osascript", r"-[A-Za-z]*[eE].*"),
        (r"php[0-9.]*", r"-[A-Za-z]*r.*"),
        (r"npx|npm|pnpm", r"-c|--call(=.*)?"),
        (r"env", r"-[A-Za-z]*S.*|--split-string(=.*)?"),
    )
)
_SWITCHES = ("-y", "--yes", "-u", "-B", "-E", "-I", "-s", "-S")  # options that often stand right before a script

Approval = Mapping[str, Any]


def proposal(name: str, entry: Mapping[str, Any], home: Path, path: str) -> Approval:
    """What an entry of a configuration would start, in the form of an approval that is asked for here and now.

    Args:
        entry: literal secrets are taken out of it already.
        home: where the house runs.
        path: the PATH on which it looks for commands.
    """
    from roundhouse.settings.entry import Names, read_entry
    from roundhouse.supervise.launch import launch_of

    spec = read_entry(Names({name: entry}, ()), name, entry)
    if spec.problems:
        return _as_it_stands(name, entry, spec.problems)
    launch = launch_of(spec)
    there = replace(spec, env={"PATH": path, **spec.env}, cwd=os.path.join(home, os.path.expanduser(spec.cwd or "")))
    return {
        "server": name,
        "kind": "add",
        "argv": launch.argv,
        "executable": launch_of(there).executable,
        "environment": given(launch.env),
        "cwd": launch.cwd,
        "isolation": launch.isolation,
        "url": launch.url,
        "headers": given(launch.headers),
        "changes": _about_tools(entry),
    }


def given(values: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Variables or headers of an entry, in the form in which an approval has them."""
    from roundhouse.vault.references import Kind, parse

    found: list[Mapping[str, Any]] = []
    for name, value in values.items():
        names = {kind: [one.value for one in parse(value) if one.kind is kind] for kind in (Kind.SECRET, Kind.ENV)}
        kind = next((kind for kind, referred in names.items() if referred), None)
        secret = ", ".join(names[kind]) if kind else None
        found.append({"name": name, "kind": kind.name.lower() if kind else "literal", "secret": secret, "value": value})
    return found


def _as_it_stands(name: str, entry: Mapping[str, Any], problems: Sequence[str]) -> Approval:
    """The same for an entry with mistakes: another house may take what this program would not."""
    args = entry.get("args")
    tables = {key: table if isinstance(table := entry.get(key), dict) else {} for key in ("env", "headers")}
    env, headers = (given({str(one): str(value) for one, value in table.items()}) for table in tables.values())
    argv = [entry["command"], *(args if isinstance(args, list) else ())] if entry.get("command") else []
    return {
        "server": name,
        "kind": "add",
        "argv": list(map(str, argv)),
        "environment": env,
        "cwd": str(entry.get("cwd") or ""),
        "url": str(entry.get("url") or ""),
        "headers": headers,
        "changes": _about_tools(entry),
        "problems": problems,
    }


def _about_tools(entry: Mapping[str, Any]) -> list[str]:
    return [f"{key}: {json.dumps(entry[key])}" for key in TOOL_KEYS if entry.get(key)]


def review(approval: Approval) -> Iterator[str]:
    """The lines to be read before the question."""
    kind = "a change of what was approved" if approval.get("kind") == "change" else "a new server"
    yield f"{unhide(approval['server'])}: {kind}"
    for label, facts in _facts(approval):
        for position, fact in enumerate(facts):
            yield f"  {label if not position else '':<{LABEL}}{fact}"
    yield from look_twice(approval)


def look_twice(approval: Approval) -> Iterator[str]:
    """Lines about what an eye could miss, or would not know to mean much."""
    for what, text in _strings(approval):
        for oddity in oddities(text):
            yield f"  LOOK TWICE: {what} {oddity}."
    for warning in _warnings(approval):
        yield f"  LOOK TWICE: {warning}."


def value_of(one: Mapping[str, Any]) -> str:
    """The value of a variable or header; what is filled in later, by name."""
    value, names, kind = one["value"], unhide(one.get("secret") or ""), one["kind"]
    if kind == "literal":
        return f"= {spell(value)}"
    what = f"the SECRET {names}" if kind == "secret" else f"the house's variable {names}"
    return f"= {what}" if value == f"${{{kind}:{one.get('secret')}}}" else f"= {spell(value)}, with {what}"


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
        yield "executable", _executable(approval)
    if url := approval.get("url"):
        yield "address", [spell(url)]
    for label, key in (("headers", "headers"), ("variables", "environment")):
        if values := approval.get(key):
            yield label, [f"{spell(one['name'])} {value_of(one)}" for one in values]
    if argv:
        yield "directory", [spell(approval["cwd"]) if approval.get("cwd") else "the house's own"]
    if isolation := approval.get("isolation"):
        yield "isolation", [unhide(isolation)]
    if changes := approval.get("changes"):
        yield "changed" if approval.get("kind") == "change" else "besides", [unhide(change) for change in changes]
    if problems := approval.get("problems"):
        yield "MISTAKES", ["the house will not take it:", *map(unhide, problems)]


def _executable(approval: Approval) -> Sequence[str]:
    if approval.get("problems"):
        return ["not looked for"]
    executable = approval.get("executable")
    if not executable:
        return [NOT_FOUND]
    leads_to = os.path.realpath(executable)
    return [spell(executable), *([f"a link to {spell(leads_to)}"] if leads_to != executable else ())]


def _strings(approval: Approval) -> Iterable[tuple[str, str]]:
    """Every string that was chosen by somebody else, with what to call it."""
    yield "the name", approval["server"]
    for position, word in enumerate(approval.get("argv") or (), 1):
        yield f"word {position} of the command", word
    for what, key in (
        ("who asked", "asked_by"),
        ("the executable", "executable"),
        ("the address", "url"),
        ("the directory", "cwd"),
    ):
        if approval.get(key):
            yield what, approval[key]
    for what, key in (("variable", "environment"), ("header", "headers")):
        for position, one in enumerate(approval.get(key) or (), 1):
            yield f"the name of {what} {position}", one["name"]
            yield f"the value of {what} {position}", one["value"]
    if approval.get("kind") != "change":
        for position, change in enumerate(approval.get("changes") or (), 1):
            yield f"line {position} of what comes besides", change


def _warnings(approval: Approval) -> Iterator[str]:
    """What means more than it looks like."""
    argv, cwd = approval.get("argv") or (), approval.get("cwd")
    for one in approval.get("environment") or ():
        if _DECIDES.fullmatch(one["name"]):
            yield f"the variable {spell(one['name'])} can decide which code runs"
    for position in _interpreters(argv):
        yield f"word {position} of the command runs code that the command line holds: read every word after it"
    if argv and os.sep in argv[0] and not argv[0].startswith((os.sep, "~")):
        yield f"{spell(argv[0])} is looked up from the directory, so it is whatever stands there"
    if cwd and not cwd.startswith((os.sep, "~")):
        yield "the directory is counted from the house's own"
    if argv and not approval.get("executable") and not approval.get("problems"):
        yield f"there is no {spell(argv[0])} on this machine"


def _interpreters(argv: Sequence[str]) -> Iterator[int]:
    """Positions, from 1, of the words that name an interpreter whose options hold code."""
    for position, word in enumerate(argv, 1):
        name = re.split(r"[/\\]", word)[-1].removesuffix(".exe")
        for program, flag in _INTERPRETERS:
            if program.fullmatch(name) and any(flag.fullmatch(option) for option in _options(name, argv[position:])):
                yield position


def _options(program: str, words: Sequence[str]) -> Iterator[str]:
    """The words before the name of a script or a module. One that follows an option may be its value."""
    after_option = False
    for word in words:
        yield word
        is_option = word.startswith(("-", "+"))
        if not (is_option or after_option) or (word == "-m" and program.startswith("py")):
            return
        after_option = is_option and word not in _SWITCHES
