"""`moat detach`."""

from __future__ import annotations

import sys

import click

from moat.cli.arguments import ask, find, run_argument
from moat.errors import RunNotActiveError
from moat.runs.store import Store


@click.command("detach")
@run_argument()
def command(run: str | None) -> None:
    """Put off everybody who watches a run; it goes on."""
    with Store() as store:
        found = find(store, run)
        if found.ended:
            raise RunNotActiveError(f"run {found.name} is {found.state}: nobody watches it")
        count = ask(store, found).post("/v1/detach")["detached"]
        sys.stdout.write(f"{count} detached\n")
