"""`moat destroy`."""

from __future__ import annotations

import sys

import click

from moat.cli.arguments import RunReference
from moat.client.removal import remove
from moat.runs.store import Store


@click.command("destroy")
@click.argument("runs", nargs=-1, required=True, type=RunReference(), metavar="RUN...")
@click.option("-f", "--force", is_flag=True, help="Kill runs that have not ended first.")
def command(runs: tuple[str, ...], *, force: bool) -> None:
    """Remove runs: their output, their records and their private folders, but not the workspace."""
    with Store() as store:
        found = [store.find(each) for each in runs]
        for run in found:
            for line in remove(store, run, force=force):
                sys.stderr.write(f"moat: after the run: {line}\n")
            sys.stdout.write(f"{run.name}\n")
