"""`moat screen`."""

from __future__ import annotations

import sys

import click

from moat.cli.arguments import find, run_argument
from moat.cli.output import print_json
from moat.client.display.screen import read_screen
from moat.errors import UsageError
from moat.runs.store import Store


@click.command("screen")
@run_argument()
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print rows, cursor, size, title and modes as a JSON object.",
)
@click.option("--html", is_flag=True, help="Print HTML, with colours.")
def command(run: str | None, *, as_json: bool, html: bool) -> None:
    """Print the screen of a run as it is now, or was at the end."""
    if as_json and html:
        raise UsageError("--json and --html exclude each other")
    with Store() as store:
        found = find(store, run)
        if as_json:
            print_json(read_screen(store, found, "json"))
        else:
            sys.stdout.write(f"{read_screen(store, found, 'html' if html else 'text')}\n")
