"""`import` and `install`: what other clients have configured, and our entry among it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from roundhouse import rendezvous
from roundhouse.doors.cli.command import Command, pass_invocation, yes_option
from roundhouse.doors.cli.commands.servers import ask_to_add, tell_added, to_review
from roundhouse.doors.cli.failures import FAILED, BadUsage, Refused
from roundhouse.doors.cli.invocation import Invocation
from roundhouse.doors.cli.person import insist, must_ask, present
from roundhouse.doors.cli.spelling import unhide
from roundhouse.doors.cli.words import number
from roundhouse.errors import BadConfiguration

if TYPE_CHECKING:
    from roundhouse.clients.imports import Imported, ImportedServer

ONE_OF_MANY = ("RH_BAD_MESSAGE", "RH_BAD_CONFIGURATION", "RH_BAD_SECRET")  # an entry's own fault; others may be taken
CLIENTS = ("claude-desktop", "claude-code", "cursor", "vscode", "gemini", "windsurf", "codex")


def _sources(context: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    named = [CompletionItem(client) for client in CLIENTS if client.startswith(begun)]
    return named or [CompletionItem(begun, type="file")]


@click.command("import", cls=Command)
@click.argument("source", metavar=f"[{'|'.join(CLIENTS)}|FILE]", shell_complete=_sources)
@click.option("--only", multiple=True, metavar="NAME", help="Take only this one; may be given several times.")
@yes_option()
@pass_invocation
def import_servers(here: Invocation, source: str, only: tuple[str, ...], yes: bool) -> int:
    """Take over the servers of another client, or those in a file. The file is not changed.

    Shows everything that comes in, and asks. Values that look like secrets are kept as secrets.
    """
    imported, chosen = _read(source, only)
    lacking = _lacking(here, chosen)
    if must_ask(here.screen, here.home, "Importing servers", yes=yes) and chosen:
        present(here.screen, _incoming(here, imported, chosen, lacking))
        if count := len(chosen) - len(lacking):
            insist(here.screen, f"Add {number(count, 'server')}, and start each to learn its tools?")
    answer = _move_in(here, imported, chosen, lacking)
    if here.screen.json:
        here.screen.document(answer)
    return _tell(here, answer, chosen)


@click.command(cls=Command)
@click.argument("client", type=click.Choice(CLIENTS))
@click.option("--adopt", is_flag=True, help="Move its other servers into the house, and take them out of its file.")
@yes_option()
@pass_invocation
def install(here: Invocation, client: str, adopt: bool, yes: bool) -> int:
    """Put Roundhouse into a client's own configuration file. The old file is kept beside it.

    Also records the PATH of this shell: a client with a window brings hardly any, and servers are found on it.
    """
    from roundhouse.clients.install import install as put_into

    moved: dict[str, Any] = {"added": [], "already": [], "skipped": [], "problems": []}
    chosen: list[ImportedServer] = []
    adopted: list[ImportedServer] = []
    if adopt:
        imported, chosen = _read(client, ())
        asks = must_ask(here.screen, here.home, "Moving servers into the house", yes=yes)
        already = _already(here, chosen)
        lacking = {name: why for name, why in _lacking(here, chosen).items() if name not in already}
        if asks and chosen:
            present(here.screen, _incoming(here, imported, chosen, lacking, already))
            if question := _whether_to_move(imported, chosen, lacking, already):
                insist(here.screen, question)
        moved = _move_in(here, imported, chosen, lacking, already)
        names = {*already, *(one["name"] for one in moved["added"])}
        adopted = [server for server in chosen if server.name in names and not server.problems]
    done = put_into(client, _entry(here), os.environ, adopted=adopted)
    _record_path(here.home)
    if here.screen.json:
        backup = str(done.backup) if done.backup else None
        file = {"client": client, "file": str(done.file), "changed": done.changed, "backup": backup}
        here.screen.document({**file, "removed": list(done.removed), **moved})
    code = _tell(here, moved, chosen) if adopt else 0
    if done.changed:
        here.screen.say(f"{client} starts Roundhouse now; restart it. Its file: {done.file}")
    else:
        here.screen.say(f"{client} starts Roundhouse already. Its file: {done.file}")
    if done.backup:
        here.screen.say(f"The old file is kept: {done.backup}")
    return code


def _read(source: str, only: tuple[str, ...]) -> tuple[Imported, list[ImportedServer]]:
    """What a client or a file has, and which of it is wanted."""
    from roundhouse.clients.imports import read

    imported = read(source, os.environ)
    if missing := set(only) - imported.entries.keys():
        raise BadUsage(f"{imported.file} has no {', '.join(sorted(missing))}. It has: {', '.join(imported.entries)}.")
    return imported, [server for server in imported.servers if not only or server.name in only]


def _lacking(here: Invocation, chosen: Iterable[ImportedServer]) -> dict[str, str]:
    """The servers the house would not take because of variables it may not pass on, and what to do, by name."""
    from roundhouse.settings.house import load_settings
    from roundhouse.vault.references import Kind, references

    allowed = load_settings(here.home).env
    lacking = {}
    for server in chosen:
        named = dict.fromkeys(one.name for one in references(server.entry).references if one.kind is Kind.ENV)
        if missing := [name for name in named if name not in allowed]:
            lacking[server.name] = (
                f"{server.name} needs {', '.join(missing)} of your environment: put env = "
                f"{json.dumps([*allowed, *missing])} into {here.home / 'settings.toml'} and run `roundhouse down`, or "
                "set a secret and change the entry."
            )
    return lacking


def _already(here: Invocation, chosen: Iterable[ImportedServer]) -> frozenset[str]:
    """Names of those that are in the house and approved, as after an `import`, or after a move that was cut short."""
    if not chosen:
        return frozenset()
    approved = {one["name"] for one in here.ask("list_servers")["servers"] if one["approval"] == "approved"}
    return frozenset(server.name for server in chosen if server.name in approved)


def _whether_to_move(
    imported: Imported, chosen: Iterable[ImportedServer], lacking: Container[str], already: Container[str]
) -> str:
    """What a person is asked about the servers that would move; nothing where none would."""
    here = sum(server.name in already and not server.problems for server in chosen)
    new = sum(server.name not in already and server.name not in lacking for server in chosen)
    if new and here:
        return (
            f"Move {number(new, 'server')} into the house, and take {here} more, already there, out of {imported.file}?"
        )
    if new:
        return f"Move {number(new, 'server')} into the house, out of {imported.file}?"
    return f"Take {number(here, 'server')}, already in the house, out of {imported.file}?" if here else ""


def _incoming(
    here: Invocation,
    imported: Imported,
    chosen: Iterable[ImportedServer],
    lacking: Mapping[str, str],
    already: Container[str] = (),
) -> Iterator[str]:
    """What comes in, every character of it, and what of it does not.

    Args:
        lacking: why a server is not going to be taken, by name.
        already: those that are in the house.
    """
    yield f"From {unhide(str(imported.file))}:"
    for server in chosen:
        yield ""
        yield from to_review(here, server.name, server.entry)
        for problem in server.problems:
            yield f"  NOTE: {unhide(problem)}"
        if why := lacking.get(server.name):
            yield f"  NOTE: {unhide(why)} It is not taken now."
        if server.name in already and server.problems:
            yield "  NOTE: the house has a server of this name. It stays in the file, as not all of it could be taken."
        elif server.name in already:
            yield "  NOTE: the house has a server of this name, which stays as it is; this is only taken out here."
    for problem in imported.left_out:
        yield f"NOTE: {unhide(problem)}"


def _move_in(
    here: Invocation,
    imported: Imported,
    chosen: Iterable[ImportedServer],
    lacking: Mapping[str, str],
    already: Container[str] = (),
) -> dict[str, Any]:
    """Have the house add what was shown, one at a time: each is started, and one that hangs takes its time only.

    The entries are sent, not their file: it may say something else by the time the house would read it.
    """
    answer: dict[str, Any] = {"file": str(imported.file), "added": [], "already": [], "skipped": []}
    for server in chosen:
        if server.name in already:
            answer["already"].append(server.name)
            continue
        if why := lacking.get(server.name):
            answer["skipped"].append({"name": server.name, "why": why})
            continue
        try:
            answer["added"].append(ask_to_add(here, server.name, server.entry))
        except Refused as refused:
            if refused.code not in ONE_OF_MANY:
                raise
            answer["skipped"].append({"name": server.name, "why": str(refused)})
    return {**answer, "problems": imported.problems}


def _tell(here: Invocation, answer: Mapping[str, Any], chosen: Iterable[ImportedServer]) -> int:
    """Say what came of an import. Returns the exit code."""
    off = {server.name for server in chosen if server.entry.get("disabled")}
    codes = [tell_added(here, one, disabled=one["name"] in off) for one in answer["added"]]
    for name in answer["already"]:
        here.screen.say(f"{name} was in the house already.")
    for one in answer["skipped"]:
        here.screen.say(f"{one['name']} was not taken: {one['why']}")
    for problem in answer["problems"]:
        here.screen.note(problem)
    if not codes and not answer["already"] and not answer["skipped"]:
        here.screen.say("There are no servers to take over.")
    return FAILED if any(codes) or answer["skipped"] else 0


def _entry(here: Invocation) -> dict[str, Any]:
    """What a client has to start. By its whole path: a client with a window has a PATH that does not lead to it."""
    program = Path(sys.executable).with_name("roundhouse")
    how = [str(program)] if program.is_file() else [sys.executable, "-m", "roundhouse"]
    own = here.home == Path(os.path.realpath(rendezvous.default_home())) and "ROUNDHOUSE_HOME" not in os.environ
    where = [] if own else ["--home", str(here.home)]
    return {"command": how[0], "args": [*how[1:], "serve", *where]}


def _record_path(home: Path) -> None:
    """Leave the PATH of this shell for the houses to come. Relative parts would mean other folders there."""
    parts = [part for part in os.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(part) and "\n" not in part]
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = home / "path.new"
        draft.write_text(os.pathsep.join(parts) + "\n", encoding="utf-8", errors="surrogateescape")
        draft.replace(home / "path")
    except OSError as bad:
        raise BadConfiguration(f"{home} cannot be written: {bad.strerror}. The PATH was not recorded.") from None
