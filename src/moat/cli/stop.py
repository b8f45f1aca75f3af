"""`moat stop`."""

from __future__ import annotations

import sys

import click

from moat.cli.arguments import run_argument, signal_number
from moat.cli.found import find, supervisor_of
from moat.cli.output import progress
from moat.client.display.quarantine_notice import show_quarantine_notice
from moat.errors import RunNotActiveError
from moat.runs.store import Store
from moat.spec.units import parse_duration


@click.command("stop")
@run_argument(running=True)
@click.option(
    "-t", "--timeout", metavar="DURATION", help="Time to wait before killing it (default: 10s)."
)
@click.option("-s", "--signal", "signal_name", help="Signal that asks it to end (default: TERM).")
def command(run: str | None, timeout: str | None, signal_name: str | None) -> None:
    """Stop a run: ask its command to end, and kill it if it doesn't in time."""
    number = None if signal_name is None else signal_number(signal_name)
    patience = None if timeout is None else parse_duration(timeout)
    with Store() as store:
        found = find(store, run)
        if found.ended:
            raise RunNotActiveError(f"run {found.name} is {found.state} already")
        progress(f"stopping {found.name} ...")
        supervisor_of(store, found).post("/v1/stop", signal=number, timeout=patience)
        sys.stdout.write(f"{found.name}\n")
        show_quarantine_notice(store.folder(found.id))
