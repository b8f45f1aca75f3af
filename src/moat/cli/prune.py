"""`moat prune`."""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from typing import TYPE_CHECKING, Final

import click

from moat.cli.destroy import remove_runs
from moat.cli.output import seconds_since_epoch, terminal_columns
from moat.cli.plain.list import draw
from moat.cli.run_filters import HELP, RunFilters
from moat.engines.registry import remove_images, remove_leftovers
from moat.errors import UsageError
from moat.runs.store import Run, Store

if TYPE_CHECKING:
    from moat.engines.container.images import MadeImage

_UNUSED_S: Final = 30 * 24 * 3600


@click.command("prune")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help=HELP)
@click.option("--dry-run", is_flag=True, help="List what would be removed, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option(
    "--images",
    "all_images",
    is_flag=True,
    help="Remove all images made of dependencies that no living run uses, however new.",
)
def command(filters: tuple[str, ...], *, dry_run: bool, yes: bool, all_images: bool) -> None:
    """Remove all runs that have ended, with everything recorded of them, but not their workspaces.

    A run that worked on a copy of its workspace stays until its changes are applied (moat apply).
    Containers that a run has left with Docker or Podman, because the engine was away, are removed too,
    and so are images made of dependencies that no run has used for 30 days.

    \b
    moat prune --filter until=7d
    moat prune --filter workspace=. --filter state=stopped
    """  # noqa: D301  a backspace tells click not to wrap
    chosen = RunFilters(filters, time.time())
    with Store() as store:
        ended = [run for run in chosen.select(store.all()) if run.ended]
        kept = [run for run in ended if _has_unapplied(store, run)]
        for run in kept:
            sys.stderr.write(
                f"moat: {run.name} stays: its copy has changes that were not applied\n"
            )
        runs = [run for run in ended if run not in kept]
        left = [] if dry_run else _remove_leftovers(store, all_images=all_images)
        for line in left:
            sys.stderr.write(f"moat: removed {line}\n")
        if not runs:
            if left:
                return
            sys.stderr.write("moat: there is nothing to remove\n")
            return
        if dry_run:
            sys.stdout.write(draw(runs, None, terminal_columns()))
            return
        if not yes:
            _ask(draw(runs, None, terminal_columns()), len(runs))
        remove_runs(store, runs, force=False)


def _has_unapplied(store: Store, run: Run) -> bool:
    folder = store.folder(run.id)
    if not folder.copy.exists():
        return False
    from moat.client.unapplied import has_unapplied  # noqa: PLC0415  for copies alone

    return has_unapplied(store.spec(run.id), folder)



def _remove_leftovers(store: Store, *, all_images: bool) -> list[str]:
    """Remove what engines have of no run any more; return a line for each."""
    runs = store.all()
    alive = {run.id for run in runs if not run.ended}
    containers = remove_leftovers(store.home, alive.__contains__)
    recent = time.time() - _UNUSED_S

    def counts(created: float) -> bool:
        return not all_images and created > recent

    @cache
    def used() -> set[str]:
        """Return the images of living runs, and of those that began not long ago."""
        users = (
            each.id
            for each in runs
            if each.id in alive or counts(seconds_since_epoch(each.created_at))
        )
        return {store.spec(run_id).container.image for run_id in users}

    def is_used(image: MadeImage) -> bool:
        return counts(image.created) or image.reference in used()

    return [
        *(f"the container {name}, which belonged to no run" for name in containers),
        *(f"the image {name}, which no run uses" for name in remove_images(store.home, is_used)),
    ]


def _ask(listing: str, count: int) -> None:
    """Ask whether the runs may be removed. Raises `UsageError` where nobody can answer."""
    if not (os.isatty(0) and os.isatty(2)):
        raise UsageError(
            f"{count} runs would be removed, and there is no terminal to ask on",
            "Look: moat prune --dry-run; remove them: moat prune --yes",
        )
    sys.stderr.write(listing)
    click.confirm(
        f"Remove these {count} runs and all that is recorded of them?", err=True, abort=True
    )
