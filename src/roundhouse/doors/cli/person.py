"""Who may say yes: a person at a terminal, or `--yes` where the settings file of the house says that it counts.

Decided here, before anything is sent. It is no boundary against other programs of the same user; it keeps a model that
was given a shell from approving what it proposed itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from roundhouse.doors.cli.failures import Declined, NeedsPerson
from roundhouse.doors.cli.screen import Screen

YES = frozenset({"y", "yes"})
TERMINAL = "/dev/tty"  # the one this process belongs to, wherever its standard streams lead
LONGEST_ANSWER = 1024  # bytes of a typed line that are looked at


def must_ask(screen: Screen, home: Path, what: str, *, yes: bool, piped: bool = False) -> bool:
    """Whether a question has to be asked before `what` may be done; no where the settings let `--yes` stand for it.

    Args:
        yes: whether `--yes` was given.
        piped: standard input carries what it is about, so `insist_beside_a_pipe` asks.

    Raises: `NeedsPerson` where it has to be and there is nobody to ask.
    """
    settings = home / "settings.toml"
    if yes and _unattended(home):
        return False
    if not (_has_terminal() if piped else screen.asks_on):
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


def insist_beside_a_pipe(question: str) -> None:
    """The same where something else is piped in: asks on the terminal that this process belongs to.

    Raises: `Declined`; `NeedsPerson` where it has none.
    """
    with _terminal() as terminal:
        if terminal is None:
            raise NeedsPerson(f"{question} Nobody is there to answer: this process has no terminal.")
        with suppress(ImportError, OSError):
            import termios

            termios.tcflush(terminal, termios.TCIFLUSH)  # as in `agree`
        os.write(terminal, f"{question} [y/N] ".encode())
        answer = os.read(terminal, LONGEST_ANSWER).decode(errors="replace")
        if not answer.endswith("\n"):
            os.write(terminal, b"\n")
    if answer.strip().lower() not in YES:
        raise Declined("Not done: nobody said yes.")


def _has_terminal() -> bool:
    with _terminal() as terminal:
        return terminal is not None


@contextmanager
def _terminal() -> Iterator[int | None]:
    """The terminal of this process, None where it has none, or where somebody else is being talked to on it."""
    try:
        terminal = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield terminal if os.tcgetpgrp(terminal) == os.getpgrp() else None
    finally:
        os.close(terminal)


def _unattended(home: Path) -> bool:
    from roundhouse.settings.house import load_settings

    return load_settings(home).allow_unattended
