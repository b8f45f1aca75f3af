"""`moat detach`."""

from __future__ import annotations

import sys

import click

from moat.cli.arguments import find, run_argument, supervisor_of
from moat.errors import RunNotActiveError
from moat.runs.store import Store


@click.command("detach")
@run_argument()
def command(run: str | None) -> None:
    """Detach everybody from a run (default: the newest). The run goes on."""
    with Store() as store:
        found = find(store, run)
        if found.ended:
            raise RunNotActiveError(f"run {found.name} is {found.state}: nobody is attached to it")
        count = supervisor_of(store, found).post("/v1/detach")["detached"]
        sys.stdout.write(f"{count} detached\n")
