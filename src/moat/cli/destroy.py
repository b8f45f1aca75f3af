"""`moat destroy`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import RunReference
from moat.client.removal import remove_all, remove_loose_folder
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.errors import MoatError
    from moat.runs.store import Run


@click.command("destroy")
@click.argument("runs", nargs=-1, required=True, type=RunReference(), metavar="RUN...")
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Kill runs that have not ended first, and drop changes in copies that were not applied.",
)
def command(runs: tuple[str, ...], *, force: bool) -> None:
    """Remove runs: their output, their records and their private folders, but not the workspace."""
    with Store() as store:
        loose = [each for each in runs if each in store.without_row()]
        # A run that is named twice is removed once.
        found = {run.id: run for run in (store.find(each) for each in runs if each not in loose)}
        for run_id in loose:
            _show(remove_loose_folder(store, run_id))
            sys.stdout.write(f"{run_id}\n")
        remove_runs(store, list(found.values()), force=force)


def remove_runs(store: Store, runs: Sequence[Run], *, force: bool) -> None:
    """Remove runs, and print the name of each. Raises the last error once all have been tried."""
    failures: list[MoatError] = []
    for removal in remove_all(store, runs, force=force):
        _show(removal.quarantined)
        if removal.error is None:
            sys.stdout.write(f"{removal.run.name}\n")
        else:
            failures.append(removal.error)
    if failures:
        *others, last = failures
        sys.stderr.write("".join(f"moat: {each.summary}\n" for each in others))
        raise last


def _show(quarantined: Sequence[str]) -> None:
    for line in quarantined:
        sys.stderr.write(f"moat: after the run: {line}\n")
