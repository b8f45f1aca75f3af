"""`moat deny`."""

from __future__ import annotations

import click

from moat.cli.arguments import RunReference, always_option
from moat.cli.rule_change import add_rule


@click.command("deny")
@click.argument("run", type=RunReference(), metavar="RUN")
@click.argument("rule", nargs=-1, required=True, metavar="[METHOD] HOST[:PORT][/PATH]")
@always_option
def command(run: str, rule: tuple[str, ...], *, always: bool) -> None:
    """Deny a running run a host, from now on and whatever other rules say.

    \b
    moat deny RUN api.example.com
    moat deny RUN POST '*.example.com/upload/**'
    """  # noqa: D301  a backspace tells click not to wrap
    click.echo(add_rule("deny", run, rule, always=always))
