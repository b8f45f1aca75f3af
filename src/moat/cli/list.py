"""`moat list`."""

from __future__ import annotations

from typing import Any

import click

from moat.cli.plain.list import carry_out
from moat.cli.run_filters import HELP


class _WithFields(click.Command):
    """Takes fields behind `--json`, where there are any: click has no values that may be missing."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words: list[str] = []
        for word in args:
            follows = bool(words) and words[-1] == "--json" and not word.startswith("-")
            words += ["--fields", word] if follows else [word]
        return super().parse_args(ctx, words)


@click.command("list", cls=_WithFields)
@click.option("-a", "--all", "everything", is_flag=True, help="List runs that have ended, too.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a JSON array, of all fields or of those that follow: name,state,supervisor.pid.",
)
@click.option("--fields", hidden=True, default="", help="The fields behind --json.")
@click.option(
    "--format",
    "template",
    metavar="TEMPLATE",
    help="Print a line for each run: {{.name}}, {{json .command}}; `table ` before it for a header.",
)
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help=HELP)
@click.option("--watch", is_flag=True, help="Draw the list again at every change, until Ctrl-C.")
@click.option("--sessions", is_flag=True, help="List the sessions of moat exec below their runs.")
def command(**given: Any) -> None:
    """List the runs that have not ended, newest first.

    A filter about the state or the exit code counts for runs that have ended, too.

    \b
    moat list -f state=failed -f until=24h
    moat list -a --format '{{.name}}\\t{{.state}}'
    moat list --json id,name,workspace
    """  # noqa: D301  a backspace tells click not to wrap
    carry_out(**given)
