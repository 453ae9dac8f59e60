"""`secret`: values that servers are given by reference, and nobody is shown."""

from __future__ import annotations

import sys

import click

from roundhouse.doors.cli import completion
from roundhouse.doors.cli.command import Group, pass_invocation, yes_option
from roundhouse.doors.cli.failures import FAILED, BadUsage
from roundhouse.doors.cli.invocation import Invocation
from roundhouse.doors.cli.person import insist, insist_beside_a_pipe, must_ask
from roundhouse.doors.cli.spelling import unhide
from roundhouse.doors.cli.words import moment, number


@click.group(cls=Group)
def secret() -> None:
    """Keep values that no list, log or error shows. A server gets one as ${secret:NAME} in its env or headers."""


@secret.command("set", context_settings={"allow_extra_args": True})
@click.argument("name", shell_complete=completion.secrets)
@click.option("--server", shell_complete=completion.servers, help="The only server that may have it.")
@yes_option("Read the value from standard input; counts where `allow_unattended = true` is in the settings.")
@click.pass_context
def set_secret(context: click.Context, /, name: str, server: str | None, yes: bool) -> int:
    """Keep a value: asked for in a terminal, where it is not shown; or read from standard input.

    \b
    roundhouse secret set GITHUB_TOKEN --server github
    pass show github | roundhouse secret set GITHUB_TOKEN --server github
    """
    here = context.ensure_object(Invocation)
    if context.args:  # not repeated, as the usual error would: it is a secret
        raise BadUsage(
            "A value is not written behind the name, where a history keeps it: it is asked for, or piped in."
        )
    piped = not sys.stdin.isatty()
    asks = must_ask(here.screen, here.home, "Keeping a secret", yes=yes, piped=piped)
    value = _piped() if piped else _typed(here, name)
    if piped and asks:  # only now: what is piped in may have asked for a passphrase on the same terminal
        insist_beside_a_pipe(f"Keep what was piped in, {number(len(value), 'character')}, as {unhide(name)}?")
    answer = here.ask("set_secret", {"name": name, "value": value, **({"server": server} if server else {})})
    if here.screen.json:
        here.screen.document(answer)
    here.screen.say(f"{name} is kept.")
    return 0


@secret.command("list")
@pass_invocation
def list_secrets(here: Invocation) -> int:
    """List the secrets by name, and where they are kept."""
    answer = here.ask("list_secrets")
    if here.screen.json:
        here.screen.document(answer)
    rows = [(one["name"], one["server"] or "any", one["kept_in"], moment(one["created"])) for one in answer["secrets"]]
    here.screen.table(["name", "server", "kept in", "since"], rows)
    here.screen.note(f"New ones are kept in {answer['where']}.")
    return 0


@secret.command("rm")
@click.argument("name", shell_complete=completion.secrets)
@yes_option()
@pass_invocation
def remove_secret(here: Invocation, name: str, yes: bool) -> int:
    """Forget a secret. Servers that are given it do not start any more."""
    if must_ask(here.screen, here.home, "Forgetting a secret", yes=yes):
        insist(here.screen, f"Forget {name}?")
    answer = here.ask("remove_secret", {"name": name})
    if here.screen.json:
        here.screen.document(answer)
    here.screen.say(f"{name} is forgotten." if answer["removed"] else f"There was no secret {name}.")
    return 0 if answer["removed"] else FAILED


def _typed(here: Invocation, name: str) -> str:
    """A value typed on the terminal, where nobody reads it over a shoulder or in a history."""
    import getpass

    value = getpass.getpass(f"Value of {name} (not shown): ", stream=here.screen.asks_on)
    if not value:
        raise BadUsage("Nothing was typed; nothing is kept.")
    return value


def _piped() -> str:
    """All of standard input; the line's end that `echo` adds is no part of a secret."""
    try:
        value = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise BadUsage("What came on stdin is not UTF-8; nothing is kept.") from None
    if not value:
        raise BadUsage("Nothing came on stdin; nothing is kept.")
    return value
