"""`moat kill`."""

from __future__ import annotations

import sys

import click

from moat.cli.arguments import ask, find, run_argument, signal_number
from moat.errors import RunNotActiveError
from moat.runs.store import Store


@click.command("kill")
@run_argument()
@click.option("-s", "--signal", "signal_name", help="Send only this signal to the command.")
def command(run: str | None, signal_name: str | None) -> None:
    """End a run at once (SIGKILL to all of it), or send its command a signal."""
    number = None if signal_name is None else signal_number(signal_name)
    with Store() as store:
        found = find(store, run)
        if found.ended:
            raise RunNotActiveError(f"run {found.name} is {found.state} already")
        if number is None:
            ask(store, found).post("/v1/kill")
        else:
            ask(store, found).post("/v1/signal", signal=number)
        sys.stdout.write(f"{found.name}\n")
