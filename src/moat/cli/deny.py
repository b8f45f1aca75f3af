"""`moat deny`."""

from __future__ import annotations

import click

from moat.cli.arguments import RunReference, always_option
from moat.cli.rule_change import amend


@click.command("deny")
@click.argument("run", type=RunReference(), metavar="RUN")
@click.argument("rule", nargs=-1, required=True, metavar="[METHOD] HOST[:PORT][/PATH]")
@always_option
def command(run: str, rule: tuple[str, ...], *, always: bool) -> None:
    """Deny a running run what it may do: at once, and for as long as it lives.

    \b
    moat deny RUN api.example.com
    moat deny RUN POST '*.example.com/upload/**'
    """  # noqa: D301  a backspace tells click not to wrap
    click.echo(amend("deny", run, rule, always=always))
