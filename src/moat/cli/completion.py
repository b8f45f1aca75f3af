"""`moat completion`."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a completion script for a shell.

    \b
    bash: eval "$(moat completion bash)"
    fish: moat completion fish | source
    """  # noqa: D301  a backspace tells click not to wrap
    from moat.cli.main import moat  # noqa: PLC0415  it imports this module

    kind = get_completion_class(shell)
    if kind is not None:
        sys.stdout.write(kind(moat, {}, "moat", "_MOAT_COMPLETE").source())
