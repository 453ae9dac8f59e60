"""The form of a command: what every one of them takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from roundhouse.doors.cli.invocation import Invocation

COMPLETING = "_ROUNDHOUSE_COMPLETE"  # the variable by which the script of a shell asks for words

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

pass_invocation = click.make_pass_decorator(Invocation)


class _Form:
    """Takes --json and --home, which may also stand before the command's name, and says its usage as we do."""

    params: list[click.Parameter]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params = [*self.params, *_common_options()]

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        pieces = self.collect_usage_pieces(ctx)  # type: ignore[attr-defined]  # of the class this is mixed into
        formatter.write_usage(ctx.command_path, " ".join(pieces), prefix="usage: ")


class Command(_Form, click.Command):
    """A command."""


class Group(_Form, click.Group):
    """Several commands under one name."""

    command_class = Command


def yes_option(
    meaning: str = "Do not ask; counts where `allow_unattended = true` is in the settings.",
) -> Callable[[Decorated], Decorated]:
    """`--yes`, for what needs a person's yes."""
    return click.option("--yes", is_flag=True, help=meaning)


def _common_options() -> list[click.Parameter]:
    as_json = click.Option(
        ["--json"], is_flag=True, expose_value=False, callback=_wants_json, help="Answer with one JSON document."
    )
    home = click.Option(
        ["--home"],
        type=click.Path(path_type=Path),
        metavar="DIR",
        expose_value=False,
        callback=_wants_home,
        help="The house's folder, instead of ROUNDHOUSE_HOME or your own.",
    )
    return [as_json, home]


def _wants_json(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.ensure_object(Invocation).screen.json = True


def _wants_home(context: click.Context, _: click.Parameter, home: Path | None) -> None:
    if home is not None:
        context.ensure_object(Invocation).home_wanted = home
