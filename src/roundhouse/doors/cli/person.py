"""Who may say yes: a person at a terminal, or `--yes` where the settings file of the house says that it counts.

Decided here, before anything is sent. It is no boundary against other programs of the same user; it keeps a model that
was given a shell from approving what it proposed itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from roundhouse.doors.cli.failures import Declined, NeedsPerson
from roundhouse.doors.cli.screen import Screen

YES = frozenset({"y", "yes"})


def must_ask(screen: Screen, home: Path, what: str, *, yes: bool) -> bool:
    """Whether a question has to be asked before `what` may be done; no where the settings let `--yes` stand for it.

    Raises: `NeedsPerson` where it has to be and there is nobody to ask.
    """
    settings = home / "settings.toml"
    if yes and _unattended(home):
        return False
    if screen.asks_on is None:
        raise NeedsPerson(
            f"{what} needs a person's yes. Either run this in a terminal, where you are asked; or, for scripts, write "
            f"`allow_unattended = true` into {settings} and give --yes."
        )
    if yes:
        screen.note(f"--yes counts only with `allow_unattended = true` in {settings}; so you are asked.")
    return True


def present(screen: Screen, lines: Iterable[str]) -> None:
    """Show what the question will be about, in full: beside the question, so that it is seen where that is seen."""
    for line in lines:
        print(line, file=screen.asks_on)


def agree(screen: Screen, question: str) -> bool:
    """Ask on the terminal. Only an answer typed after the question counts, and only y or yes means yes."""
    terminal = screen.asks_on
    if terminal is None:
        raise NeedsPerson(f"{question} Nobody is there to answer: standard input and error are no terminal.")
    with suppress(ImportError, OSError):
        import termios

        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # what came with a pasted command is no answer to this
    print(f"{question} [y/N] ", end="", file=terminal, flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print(file=terminal)
    return answer.strip().lower() in YES


def insist(screen: Screen, question: str) -> None:
    """Ask, and go on only after a yes.

    Raises: `Declined`.
    """
    if not agree(screen, question):
        raise Declined("Not done: nobody said yes.")


def _unattended(home: Path) -> bool:
    from roundhouse.settings.house import load_settings

    return load_settings(home).allow_unattended
