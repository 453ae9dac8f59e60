"""`serve`, `status`, `down`: the house itself."""

from __future__ import annotations

from typing import Any

import click

from roundhouse.doors.cli.command import Command, pass_invocation
from roundhouse.doors.cli.failures import NO_HOUSE, BadUsage, HouseUnavailable
from roundhouse.doors.cli.invocation import Invocation
from roundhouse.doors.cli.words import duration, moment, number

LEAVES_WITHIN = 30.0  # seconds; its servers' ladder takes five, and a drain of calls under way comes before it


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, metavar="[OPTIONS]")
def serve(options: tuple[str, ...]) -> None:
    """Serve an MCP client on stdin and stdout. This is what a client's configuration starts.

    Connects the client to the house, and starts the house if none runs. With --standalone --config FILE it runs one of
    its own, for this client only, with the servers of that file. `roundhouse serve --help` shows all options.
    """
    raise BadUsage("Write `serve` first: roundhouse serve [OPTIONS].")


@click.command(cls=Command)
@pass_invocation
def status(here: Invocation) -> int:
    """Show whether a house runs, who is connected, and what waits for you. Never starts one.

    Exit code 3 when none runs.
    """
    if not here.find():
        if here.screen.json:
            here.screen.document({"running": False, "home": str(here.home)})
        here.screen.say(f"No house runs in {here.home}. The next client or command that needs one starts it.")
        return NO_HOUSE
    house = here.ask("house_status")
    if here.screen.json:
        here.screen.document({"running": True, **house})
    _describe(here, house)
    return 0


@click.command(cls=Command)
@click.option("--wait", is_flag=True, help="Return only when it is gone, with every server it ran.")
@pass_invocation
def down(here: Invocation, wait: bool) -> int:
    """Let the house leave, with every server it runs. The next client or command that needs one starts it again."""
    running = here.find()
    if running:
        here.ask("leave")
        here.close()
        if wait:
            with here.screen.waiting("The house is leaving") as waiting:
                if waiting:
                    waiting.still()
                if not here.wait_gone(LEAVES_WITHIN):
                    raise HouseUnavailable(
                        f"The house has not left within {LEAVES_WITHIN:.0f} s; see {here.place.log}."
                    )
    if here.screen.json:
        here.screen.document({"was_running": running, "gone": wait or not running})
    here.screen.say(("The house has left." if wait else "The house is leaving.") if running else "No house runs.")
    return 0


def _describe(here: Invocation, house: dict[str, Any]) -> None:
    say = here.screen.say
    say(f"Roundhouse {house['version']} runs: pid {house['pid']}, for {duration(house['uptime_seconds'])}.")
    say(f"home     {house['home']}")
    say(f"log      {house['log']}")
    states = ", ".join(f"{count} {state}" for state, count in house["servers"].items() if count)
    say(f"servers  {states or 'none'}")
    if pending := house["pending_approvals"]:
        say(f"waiting  {number(pending, 'approval')}: see `roundhouse approve`")
    for note in house["notes"]:
        say(f"note     {note}")
    leave = house.get("idle_leave_seconds")
    say(f"leaves   {f'{duration(leave)} after its last client' if leave else 'only when told to'}")
    if not house["clients"]:
        return
    clients = [(one["name"], one["version"], one["pid"], moment(one["since"])) for one in house["clients"]]
    here.screen.table(["client", "version", "pid", "since"], clients)
