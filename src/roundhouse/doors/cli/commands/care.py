"""`logs`, `health`, `explain`: what is going on, and why something does not work."""

from __future__ import annotations

import os
import select
import sys
import time
from collections import deque
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import click

from roundhouse.doors.cli import completion
from roundhouse.doors.cli.command import Command, pass_invocation
from roundhouse.doors.cli.invocation import Invocation
from roundhouse.doors.cli.words import duration

LINES = 50
MOST_LINES = 500  # what the house keeps ready of a server's output
LOOK_AGAIN = 0.2  # seconds between two looks at a log that is followed


@click.command(cls=Command)
@click.argument("name", shell_complete=completion.servers)
@click.option("--lines", "-n", type=click.IntRange(1, MOST_LINES), default=LINES, show_default=True, help="How many.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what it writes, until Ctrl-C.")
@pass_invocation
def logs(here: Invocation, name: str, lines: int, follow: bool) -> int:
    """Show what a server wrote to its standard error."""
    following = follow and not here.screen.json  # one document has an end
    answer = here.ask("read_logs", {"name": name, "lines": lines})
    if here.screen.json:
        here.screen.document(answer)
    if following:
        here.close()  # somebody who reads a log for hours is no reason for the house to stay
        for text in follow_file(here.home / "logs" / "servers" / f"{name}.log", lines):
            here.screen.pass_on(text)
    for line in answer["lines"]:
        here.screen.pass_on(line)
    return 0


@click.command(cls=Command)
@click.argument("name", required=False, shell_complete=completion.servers)
@pass_invocation
def health(here: Invocation, name: str | None) -> int:
    """Show how the servers are: judged by their answers, their processes and their past."""
    answer = here.ask("check_health", {"name": name} if name else {})
    if here.screen.json:
        here.screen.document(answer)
    rows = [
        (
            one["name"],
            one["level"],
            one["state"],
            duration(one["uptime_seconds"]),
            _amount(one["memory_mb"], "MB"),
            _amount(one["cpu_percent"], "%"),
            one["children"],
            one["descriptors"],
            _amount(one["ping_ms"], "ms"),
            one["restarts"],
            " ".join(one["reasons"]),
        )
        for one in answer["servers"]
    ]
    columns = ["name", "health", "state", "up", "memory", "cpu", "children", "files", "ping", "restarts", "why"]
    here.screen.table(columns, rows)
    return 0


@click.command(cls=Command)
@click.argument("name", metavar="NAME|SERVER__TOOL", shell_complete=completion.tools)
@pass_invocation
def explain(here: Invocation, name: str) -> int:
    """Say why a server or a tool cannot be called, step by step, and what to do."""
    answer = here.ask("explain", {"name": name})
    if here.screen.json:
        here.screen.document(answer)
    marks = {True: "ok", False: "no", None: "-"}
    here.screen.table(["step", "", "detail"], [(s["step"], marks[s["ok"]], s["detail"]) for s in answer["steps"]])
    here.screen.say("It can be called." if answer["callable"] else "It cannot be called.")
    here.screen.say(answer["next_step"])
    return 0


def follow_file(path: Path, lines: int) -> Iterator[str]:
    """The last lines of a file and all that are written from then on, also when it is replaced or begun anew."""
    last: int | None = lines
    while True:
        try:
            file = path.open("rb")
        except FileNotFoundError:  # not written yet, or just being replaced
            _pause()
            continue
        with file:
            for line in deque(file, maxlen=last):
                yield line.decode(errors="replace")
            last = None  # of the next file, everything is news
            begun, still = b"", True
            while still:
                still = _is_still(file, path)  # looked at before reading: a file that is replaced is read to its end
                while line := file.readline():
                    begun += line
                    if begun.endswith(b"\n"):
                        yield begun.decode(errors="replace")
                        begun = b""
                if still:
                    _pause()


def _pause() -> None:
    """Wait before the next look. Raises: `BrokenPipeError` as soon as nobody reads our output any more."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)  # errors are told unasked
    events = [event for _, event in output.poll(LOOK_AGAIN * 1000)]
    if any(event & (select.POLLERR | select.POLLHUP) for event in events):
        raise BrokenPipeError
    if events:  # a device that cannot be polled, on macOS
        time.sleep(LOOK_AGAIN)


def _is_still(file: BufferedReader, path: Path) -> bool:
    """Whether the path means the open file yet, and nothing of it was taken away."""
    opened = os.fstat(file.fileno())
    try:
        now = path.stat()
    except FileNotFoundError:
        return False
    return now.st_ino == opened.st_ino and now.st_size >= file.tell()


def _amount(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}"
