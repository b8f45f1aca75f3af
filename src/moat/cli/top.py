"""`moat top`."""

from __future__ import annotations

import sys

import click

from moat.errors import UsageError
from moat.paths import moat_home


@click.command("top")
@click.option("-a", "--all", "everything", is_flag=True, help="Show runs that have ended, too.")
def command(*, everything: bool) -> int:
    """Show all runs in a table that lives, attach to one, and come back to the table.

    Arrow keys or j and k choose a run. Enter attaches to it, and a detach (Ctrl-/ d) comes back. s stops
    it, K kills it and d destroys it, each after a question. a shows runs that have ended or hides them,
    and q quits.

    WAITS FOR says what a run waits for you to do. NET counts its requests and, behind a slash, its
    denials. LAST LINE is the last one of its screen.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("moat top needs a terminal", "Without one: moat list --watch, or --json")
    from moat.cli.cockpit.app import App  # noqa: PLC0415  not for --help

    return App(moat_home(), everything=everything).run()
