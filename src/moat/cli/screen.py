"""`moat screen`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import session_argument, session_option
from moat.cli.found import find_session
from moat.cli.output import print_json
from moat.client.display.screen import read_screen
from moat.errors import UsageError
from moat.runs.store import Store

if TYPE_CHECKING:
    from moat.runs.store import Run


@click.command("screen")
@session_argument()
@session_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print rows, cursor, size, title and modes as a JSON object.",
)
@click.option("--html", is_flag=True, help="Print an HTML page, with colours.")
@click.option("--svg", is_flag=True, help="Print an SVG picture, for reports.")
def command(run: str | None, *, session: str | None, as_json: bool, html: bool, svg: bool) -> None:
    """Print the screen of a run as it is now, or was at the end."""
    if as_json + html + svg > 1:
        raise UsageError("--json, --html and --svg exclude each other")
    with Store() as store:
        found, name = find_session(store, run, session)
        if as_json:
            print_json(read_screen(store, found, "json", name))
        elif html or svg:
            sys.stdout.write(_styled(store, found, name, as_picture=svg))
        else:
            sys.stdout.write(f"{read_screen(store, found, 'text', name)}\n")


def _styled(store: Store, run: Run, session: str, *, as_picture: bool) -> str:
    from moat.client.display import page, picture, styled  # noqa: PLC0415  for these alone

    lines = styled.lines(read_screen(store, run, "html", session))
    if not as_picture:
        return page.page(lines, run.name)
    screen = read_screen(store, run, "json", session)
    return picture.picture(lines, run.name, screen["columns"], screen["rows"])
