"""`completion`: the script that lets a shell ask us."""

from __future__ import annotations

import click

from roundhouse.doors.cli.command import COMPLETING, Command, pass_invocation
from roundhouse.doors.cli.failures import BadUsage
from roundhouse.doors.cli.invocation import Invocation


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_invocation
def completion(here: Invocation, shell: str) -> int:
    """Print the script that completes commands, servers and tools in your shell.

    \b
    bash   roundhouse completion bash > ~/.local/share/bash-completion/completions/roundhouse
    zsh    roundhouse completion zsh > "${fpath[1]}/_roundhouse"
    fish   roundhouse completion fish > ~/.config/fish/completions/roundhouse.fish
    """
    from click.shell_completion import get_completion_class

    known = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if known is None:
        raise BadUsage(f"There is no completion for {shell}.")
    script = known(root, {}, "roundhouse", COMPLETING).source()
    if here.screen.json:
        here.screen.document({"shell": shell, "script": script})
    here.screen.pass_on(script)
    return 0
