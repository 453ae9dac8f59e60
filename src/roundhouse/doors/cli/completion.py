"""Names a shell completes from the running house: at once, and silently nothing where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from roundhouse.doors.cli.invocation import Invocation
from roundhouse.errors import RoundhouseError
from roundhouse.model.text import shorten

WITHIN = 0.5  # seconds; somebody has pressed the tab key and waits
HELP = 60  # characters of a description beside a name, where the shell shows them

Answer = Mapping[str, Any]
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _from_house(operation: str, words: Callable[[Answer], Iterable[tuple[str, str]]]) -> Complete:
    """What completes a word from the answer of an operation; `words` are those in it, each with a few about it."""

    def complete(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        here = context.ensure_object(Invocation)
        try:
            found = list(words(here.ask(operation, within=WITHIN))) if here.find(WITHIN) else []
        except (RoundhouseError, OSError, LookupError, TypeError):
            return []
        return [CompletionItem(word, help=shorten(text, HELP)) for word, text in found if word.startswith(begun)]

    return complete


servers = _from_house("list_servers", lambda answer: ((one["name"], one["state"]) for one in answer["servers"]))
tools = _from_house("list_tools", lambda answer: ((one["name"], one["title"] or "") for one in answer["tools"]))
approvals = _from_house("list_approvals", lambda answer: ((one["server"], one["kind"]) for one in answer["approvals"]))
secrets = _from_house("list_secrets", lambda answer: ((one["name"], one["server"] or "") for one in answer["secrets"]))
