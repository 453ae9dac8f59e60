"""Servers: adding, listing, starting, stopping, changing and removing them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from roundhouse import rendezvous
from roundhouse.doors.cli import completion
from roundhouse.doors.cli.arguments import from_words, takes
from roundhouse.doors.cli.command import Command, pass_invocation, yes_option
from roundhouse.doors.cli.failures import FAILED, BadUsage, NeedsPerson
from roundhouse.doors.cli.invocation import Invocation
from roundhouse.doors.cli.person import insist, must_ask, present
from roundhouse.doors.cli.review import given, look_twice, proposal, review, value_of
from roundhouse.doors.cli.spelling import spell
from roundhouse.doors.cli.words import condition, number
from roundhouse.errors import RoundhouseError

TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
TEXTS, TABLE = {"type": "array"}, {"type": "object"}
ENTRY: dict[str, Any] = {  # what `configure` changes, in the words of a tool's schema
    "properties": {
        **dict.fromkeys(("command", "cwd", "url", "type", "start", "instances"), TEXT),
        **dict.fromkeys(("call_timeout", "start_timeout", "idle_stop"), NUMBER),
        **dict.fromkeys(("args", "allow", "deny", "tags", "pinned"), TEXTS),
        **dict.fromkeys(("env", "headers", "rename", "descriptions"), TABLE),
        "disabled": FLAG,
    },
    "additionalProperties": False,
}
WITH_COMMAS = ("allow", "deny", "tags", "pinned")  # lists of names, in which no comma can stand
# What can be changed without a person: it changes when the approved runs, and neither what runs nor what is offered.
NO_WIDER = frozenset({"call_timeout", "start_timeout", "start", "idle_stop", "tags", "pinned"})
VALUES = ("env", "headers")  # tables whose values may be secrets
DOWN = ("failed", "backoff")
LOOK_WITHIN = 2.0  # seconds; somebody has pressed Ctrl-C and waits


@click.command(cls=Command)
@click.argument("name")
@click.argument("command", nargs=-1)
@click.option("--env", "-e", multiple=True, metavar="KEY=VALUE", help="A variable; KEY='${secret:NAME}' for a secret.")
@click.option("--cwd", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where it runs.")
@click.option("--url", help="The address of a server over HTTP, instead of a command.")
@click.option("--header", "-H", multiple=True, metavar="KEY: VALUE", help="A header for --url; KEY=VALUE too.")
@click.option("--start", type=click.Choice(["on-demand", "always"]), help="With its first call, or with the house.")
@click.option("--idle-stop", type=float, metavar="SECONDS", help="Stop after so long without a call; 0: never.")
@click.option("--call-timeout", type=float, metavar="SECONDS", help="The longest a call may take.")
@click.option("--start-timeout", type=float, metavar="SECONDS", help="The longest a start may take.")
@click.option("--allow", multiple=True, metavar="TOOL", help="Offer only these tools; * stands for anything.")
@click.option("--deny", multiple=True, metavar="TOOL", help="Never offer these.")
@click.option("--rename", multiple=True, metavar="TOOL=NEW", help="Offer a tool under another name.")
@click.option("--instances", type=click.Choice(["auto", "shared", "per-client"]), help="Which clients share a process.")
@click.option("--tag", "tags", multiple=True, help="A word to find it by.")
@click.option(
    "--pin", "pinned", multiple=True, metavar="TOOL", help="List this tool even where there is only a search."
)
@yes_option()
@pass_invocation
def add(
    here: Invocation, /, name: str, command: tuple[str, ...], cwd: Path | None, url: str | None, yes: bool, **given: Any
) -> int:
    """Add a server and start it, to learn its tools.

    \b
    roundhouse add time -- uvx mcp-server-time
    roundhouse add files --env ROOT=/srv -- npx -y @modelcontextprotocol/server-filesystem /srv
    roundhouse add notes --url https://notes.example/mcp --header 'Authorization: Bearer ${secret:NOTES}'

    Values that look like secrets are kept as secrets; `secret set` keeps them out of your shell's history.
    """
    if bool(command) == bool(url):
        raise BadUsage("Give either `-- COMMAND...` or --url URL.")
    entry = _entry(command, cwd, url, given)
    if must_ask(here.screen, here.home, "Adding a server", yes=yes):
        present(here.screen, [*to_review(here, name, entry), *_lost_files(entry)])
        insist(here.screen, "Add it, and start it to learn its tools?")
    added = ask_to_add(here, name, entry)
    if here.screen.json:
        here.screen.document(added)
    return tell_added(here, added)


@click.command("list", cls=Command)
@pass_invocation
def list_servers(here: Invocation) -> int:
    """List the servers: their state, their tools, and why one does not work."""
    answer = here.ask("list_servers")
    if here.screen.json:
        here.screen.document(answer)
    if not answer["servers"]:
        here.screen.say("No servers yet. `roundhouse add NAME -- COMMAND...` adds one, `roundhouse import` a client's.")
        return 0
    rows = [
        (one["name"], one["state"], one["tools"], one["start"], one["pid"], ", ".join(one["tags"]), _why(one))
        for one in answer["servers"]
    ]
    here.screen.table(["name", "state", "tools", "start", "pid", "tags", "why"], rows)
    return 0


@click.command(cls=Command)
@click.argument("name", shell_complete=completion.servers)
@pass_invocation
def start(here: Invocation, name: str) -> int:
    """Start a server, and wait until its tools can be called."""
    return _put(here, "start_server", name, f"Starting {name}")


@click.command(cls=Command)
@click.argument("name", shell_complete=completion.servers)
@pass_invocation
def stop(here: Invocation, name: str) -> int:
    """Stop a server and everything it started. It stays stopped until `start`."""
    return _put(here, "stop_server", name, f"Stopping {name}")


@click.command(cls=Command)
@click.argument("name", shell_complete=completion.servers)
@pass_invocation
def restart(here: Invocation, name: str) -> int:
    """Stop a server and start it anew."""
    return _put(here, "restart_server", name, f"Restarting {name}")


@click.command(cls=Command)
@click.argument("name", shell_complete=completion.servers)
@yes_option("Do not ask.")
@pass_invocation
def remove(here: Invocation, name: str, yes: bool) -> int:
    """Stop a server and forget how it is started."""
    if not yes:
        if here.screen.asks_on is None:
            raise NeedsPerson("Removing a server is asked about in a terminal; elsewhere give --yes.")
        insist(here.screen, f"Remove {name}?")
    answer = here.ask("remove_server", {"name": name})
    if here.screen.json:
        here.screen.document(answer)
    here.screen.say(f"{name} is removed.")
    return 0


@click.command(cls=Command)
@click.argument("name", shell_complete=completion.servers)
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE...")
@yes_option()
@pass_invocation
def configure(here: Invocation, name: str, changes: tuple[str, ...], yes: bool) -> int:
    """Change how a server is run. KEY= goes back to the default.

    \b
    roundhouse configure files idle_stop=0 start=always
    roundhouse configure files deny='delete_*,move_file'
    roundhouse configure files args='["-y", "@modelcontextprotocol/server-filesystem", "/srv"]'

    What changes which program runs, what it is given, or what it offers needs a yes, like `add`.
    """
    wanted = _changes(changes)
    narrower = {"disabled"} if wanted.get("disabled") is True else set()
    if wider := wanted.keys() - NO_WIDER - narrower:
        what = f"Changing {', '.join(sorted(wider))}"
        if must_ask(here.screen, here.home, what, yes=yes):
            present(here.screen, _change_lines(name, wanted))
            insist(here.screen, "Change it?")
    with here.screen.waiting(f"Changing {name}") as waiting:
        answer = here.ask("configure_server", {"name": name, "changes": wanted}, waiting=waiting)
    if here.screen.json:
        here.screen.document(answer)
    if answer["applied"]:
        here.screen.say(f"{name}: changed {', '.join(answer['applied'])}.")
    if answer["proposed"]:
        here.screen.say(f"{name}: {', '.join(answer['proposed'])} waits for a yes: `roundhouse approve {name}`.")
    _tell_secrets(here, answer["secrets_stored"])
    return 0


def to_review(here: Invocation, name: str, entry: Mapping[str, Any]) -> Iterable[str]:
    """What an entry would start, for a person to read; values that are going to be secrets are shown by name."""
    from roundhouse.vault.literals import extract

    path = rendezvous.environment(here.place)["PATH"]
    return review(proposal(name, extract(name, entry)[0], here.home, path))


def ask_to_add(here: Invocation, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Have the house add a server and start it. Who does not wait for its start is told what became of it so far.

    Raises: `Refused`, `HouseUnavailable`, `KeyboardInterrupt`.
    """
    try:
        with here.screen.waiting(f"Starting {name}") as waiting:
            return here.ask("add_server", {"name": name, **entry}, waiting=waiting)
    except KeyboardInterrupt:
        with suppress(RoundhouseError):
            servers = here.ask("list_servers", within=LOOK_WITHIN)["servers"]
            if name in (one["name"] for one in servers):
                here.screen.note(f"{name} was added and goes on starting: `roundhouse list` shows how it is.")
            else:
                here.screen.note(f"{name} was not added.")
        raise


def tell_added(here: Invocation, added: Mapping[str, Any], *, disabled: bool = False) -> int:
    """Say what became of a new server. Returns the exit code: one that does not come up is not what was wanted."""
    name = added["name"]
    if added["approval"] == "pending":
        here.screen.say(f"{name} waits for a yes: `roundhouse approve {name}`.")
    elif added["state"] in DOWN:
        why = here.ask("explain", {"name": name})["next_step"]
        here.screen.say(f"{name} was added, and does not start: {why}")
    elif disabled:
        here.screen.say(f"{name} was added. It is disabled: `roundhouse configure {name} disabled=` puts it to use.")
    else:
        here.screen.say(f"{name} was added: {number(added['tools'], 'tool')}. `roundhouse tools {name}` shows them.")
    _tell_secrets(here, added["secrets_stored"])
    return FAILED if added["state"] in DOWN else 0


def _entry(command: tuple[str, ...], cwd: Path | None, url: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the options of `add` say, in the words of a server's entry; nothing where they say nothing."""
    entry = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
    entry["env"] = _pairs("--env", given["env"])
    entry["headers"] = _pairs("--header", map(_with_equals, entry.pop("header")))
    entry["rename"] = _pairs("--rename", given["rename"])
    if command:
        entry |= {"command": _from_here(command[0]), "args": list(command[1:])}
    entry |= {"url": url, "cwd": str(cwd.resolve()) if cwd else None}
    return {key: value for key, value in entry.items() if value not in (None, [], {})}


def _pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    for position, (name, equals, _) in enumerate(pairs, 1):
        if not equals or not name:  # not repeated: what stands there may be a secret
            raise BadUsage(
                f"{option} takes NAME=VALUE; what is given to number {position} of them is not of that form."
            )
    return {name: value for name, _, value in pairs}


def _with_equals(header: str) -> str:
    """A header as HTTP and curl write it, in our spelling. Neither sign can stand in its name."""
    name, colon, value = header.partition(":")
    return f"{name}={value.strip()}" if colon and "=" not in name else header


def _from_here(command: str) -> str:
    """A path as the person at this prompt means it; the house runs elsewhere. A bare name is looked up by the house."""
    return os.path.abspath(command) if os.sep in command else command


def _lost_files(entry: Mapping[str, Any]) -> Iterable[str]:
    """Words that name a file from here, which the server would not find."""
    if "cwd" in entry:
        return
    for position, word in enumerate(entry.get("args", ()), 2):
        if not os.path.isabs(word) and os.path.isfile(word):
            yield f"  LOOK TWICE: word {position} is a file here; the server runs elsewhere: give --cwd or a full path."


def _changes(words: Iterable[str]) -> dict[str, Any]:
    """The changes a command line asks for; None for what goes back to its default."""
    wanted: dict[str, Any] = {}
    typed = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and not value:
            wanted[key] = None
        elif key in WITH_COMMAS and not value.startswith("["):
            wanted[key] = [part.strip() for part in value.split(",")]
        else:
            typed.append(word)
    if unknown := wanted.keys() - ENTRY["properties"].keys():
        raise BadUsage(f"There is nothing called {spell(min(unknown))}. {takes(ENTRY)}")
    return wanted | from_words(typed, ENTRY)


def _change_lines(name: str, wanted: Mapping[str, Any]) -> Iterable[str]:
    """What is going to be different, every character of it visible; what is going to be a secret, by its name."""
    from roundhouse.vault.literals import extract

    clean = extract(name, wanted)[0]
    values = {key: given({one: str(value) for one, value in (clean.get(key) or {}).items()}) for key in VALUES}
    yield f"{spell(name)} is going to have:"
    for key, value in clean.items():
        if value is None:
            yield f"  {key:<14}its default"
        elif key in VALUES:
            shown = [f"{spell(one['name'])} {value_of(one)}" for one in values[key]]
            yield f"  {key:<14}{', '.join(shown)}, and no others"
        elif isinstance(value, list):
            yield f"  {key:<14}{' '.join(spell(str(one)) for one in value)}"
        elif isinstance(value, dict):
            yield f"  {key:<14}{', '.join(f'{spell(one)}: {spell(str(new))}' for one, new in value.items())}"
        else:
            yield f"  {key:<14}{spell(str(value))}"
    places = {"cwd": clean.get("cwd"), "url": clean.get("url")}
    yield from look_twice({"server": name, "environment": values["env"], "headers": values["headers"], **places})


def _put(here: Invocation, operation: str, name: str, what: str) -> int:
    """Bring a server into another state, and show its status then."""
    with here.screen.waiting(what) as waiting:
        status = here.ask(operation, {"name": name}, waiting=waiting)
    if here.screen.json:
        here.screen.document(status)
    tools = f", {number(status['tools'], 'tool')}" if status["state"] == "ready" else ""
    here.screen.say(f"{name} is {condition(status['state'])}{tools}.")
    return 0


def _why(status: Mapping[str, Any]) -> str:
    """What a person would want to know about a server that is not simply ready."""
    if status["approval"] == "pending":
        return f"waits for a yes: `roundhouse approve {status['name']}`"
    words = [status["reason"], *status["notes"], *status["last_stderr"][-1:]]
    return " ".join(word for word in words if word)


def _tell_secrets(here: Invocation, secrets: Iterable[str]) -> None:
    if names := ", ".join(secrets):
        here.screen.say(f"Kept as secrets, and in the entry by name only: {names}.")
