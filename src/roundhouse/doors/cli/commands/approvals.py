"""`approve` and `deny`: a model proposes, a person decides, having seen everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from roundhouse.doors.cli import completion
from roundhouse.doors.cli.command import Command, pass_invocation, yes_option
from roundhouse.doors.cli.failures import FAILED, BadUsage
from roundhouse.doors.cli.invocation import Invocation
from roundhouse.doors.cli.person import agree, insist, must_ask, present
from roundhouse.doors.cli.review import Approval, review
from roundhouse.doors.cli.words import condition, number
from roundhouse.errors import NotFound


@click.command(cls=Command)
@click.argument("which", required=False, metavar="[ID|NAME]", shell_complete=completion.approvals)
@click.option("--all", "everything", is_flag=True, help="Show all that wait, and ask once.")
@yes_option()
@pass_invocation
def approve(here: Invocation, which: str | None, everything: bool, yes: bool) -> int:
    """Show what waits for your yes, in full, and ask. Without an argument, one after the other.

    What is approved is exactly this launch: if its command, its executable, its variables, its directory or its address
    change, it waits for a yes again.
    """
    return _decide(here, "approve", which, everything=everything, yes=yes)


@click.command(cls=Command)
@click.argument("which", required=False, metavar="[ID|NAME]", shell_complete=completion.approvals)
@click.option("--all", "everything", is_flag=True, help="Show all that wait, and ask once.")
@yes_option()
@pass_invocation
def deny(here: Invocation, which: str | None, everything: bool, yes: bool) -> int:
    """Refuse what waits for your yes. Without an argument, one after the other."""
    return _decide(here, "deny", which, everything=everything, yes=yes)


def _decide(here: Invocation, operation: str, which: str | None, *, everything: bool, yes: bool) -> int:
    """Show, ask, and tell the house what was said. Returns the exit code."""
    if which and everything:
        raise BadUsage("Give an ID, a NAME or --all, one of them.")
    asks = must_ask(here.screen, here.home, f"To {operation} a launch", yes=yes)
    if not asks and not which and not everything:
        raise BadUsage(f"Where nobody is asked, say what to {operation}: an ID, a NAME, or --all.")
    chosen = _chosen(here.ask("list_approvals")["approvals"], which)
    answers = []
    for approval in _agreed(here, operation, chosen, at_once=everything) if asks else chosen:
        with here.screen.waiting(approval["server"]) as waiting:
            answers.append(here.ask(operation, {"id": approval["id"]}, waiting=waiting))
        _tell(here, answers[-1])
    done = {answer["id"] for answer in answers}
    left = [approval["id"] for approval in chosen if approval["id"] not in done]
    if here.screen.json:
        here.screen.document({"decided": answers, "left": left})
    if not chosen:
        here.screen.say("Nothing waits for a yes.")
    if left:
        here.screen.say(f"{number(len(left), 'launch')} left waiting.")
    return FAILED if which and left else 0


def _chosen(approvals: Sequence[Approval], which: str | None) -> Sequence[Approval]:
    if which is None:
        return approvals
    meant = [approval for approval in approvals if which in (approval["id"], approval["server"])]
    if not meant:
        known = [approval["server"] for approval in approvals]
        raise NotFound("launch waiting for a yes", which, known, hint="`roundhouse list` shows every server's state.")
    return meant


def _agreed(here: Invocation, operation: str, chosen: Sequence[Approval], *, at_once: bool) -> Iterator[Approval]:
    """Those the person says yes to, each before the next is shown; or all, after all were shown."""
    verb = operation.capitalize()
    for approval in chosen:
        present(here.screen, review(approval))
        if not at_once and agree(here.screen, f"{verb}?"):
            yield approval
    if at_once and chosen:
        insist(here.screen, f"{verb} all {len(chosen)}?")
        yield from chosen


def _tell(here: Invocation, answer: Mapping[str, Any]) -> None:
    status = answer["status"]
    tools = f", {number(status['tools'], 'tool')}" if status["tools"] else ""
    here.screen.say(f"{answer['server']} is {answer['approval']}, and now {condition(status['state'])}{tools}.")
