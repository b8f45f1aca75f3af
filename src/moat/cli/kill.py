"""`moat kill`."""

from __future__ import annotations

import sys

import click

from moat.cli.arguments import find, run_argument, signal_number, supervisor_of
from moat.errors import RunNotActiveError
from moat.runs.store import Store


@click.command("kill")
@run_argument()
@click.option(
    "-s", "--signal", "signal_name", help="Send the command this signal, and nothing more."
)
def command(run: str | None, signal_name: str | None) -> None:
    """Kill a run at once (SIGKILL to everything in its sandbox), or send its command a signal."""
    number = None if signal_name is None else signal_number(signal_name)
    with Store() as store:
        found = find(store, run)
        if found.ended:
            raise RunNotActiveError(f"run {found.name} is {found.state} already")
        if number is None:
            supervisor_of(store, found).post("/v1/kill")
        else:
            supervisor_of(store, found).post("/v1/signal", signal=number)
        sys.stdout.write(f"{found.name}\n")
