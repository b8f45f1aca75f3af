"""`moat prune`."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from moat.cli.destroy import remove_runs
from moat.cli.left_by_engines import remove_left_by_engines
from moat.cli.output import terminal_columns
from moat.cli.plain.list import draw
from moat.cli.plain.status import size
from moat.cli.run_filters import HELP, RunFilters
from moat.client.orphans import find_orphans, remove_orphans
from moat.client.upkeep import ended_runs
from moat.errors import UsageError
from moat.runs.retention import Retention
from moat.runs.store import Store
from moat.spec.units import parse_duration, parse_memory

if TYPE_CHECKING:
    from moat.client.orphans import Orphans
    from moat.runs.retention import EndedRun
    from moat.runs.store import Run


@click.command("prune")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help=HELP)
@click.option(
    "--older-than",
    "age",
    metavar="DURATION",
    help="Remove runs that ended so long ago, such as 30d.",
)
@click.option(
    "--keep",
    "count",
    type=click.IntRange(min=0),
    metavar="N",
    help="Remove all but the newest N.",
)
@click.option(
    "--max-size",
    "bytes_",
    metavar="SIZE",
    help="Remove the oldest until the others take no more of the disk, such as 5g.",
)
@click.option(
    "--orphans",
    is_flag=True,
    help="Remove halves of runs: folders that are in no index, runs whose folders are gone. Other runs"
    " only with another option.",
)
@click.option(
    "--images",
    "all_images",
    is_flag=True,
    help="Remove all images made of dependencies that no living run uses, however new.",
)
@click.option("--dry-run", is_flag=True, help="List what would be removed, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
def command(  # noqa: PLR0913  an option each
    filters: tuple[str, ...],
    age: str | None,
    count: int | None,
    bytes_: str | None,
    *,
    orphans: bool,
    all_images: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove runs that have ended, with everything recorded of them, but not their workspaces.

    Without options, that is all of them. A run is removed if one of --older-than, --keep and --max-size
    says so; with --filter, they are about the runs that it selects. The same bounds can be kept all the
    time: see retention in the settings.

    A run that worked on a copy of its workspace stays until its changes are applied (moat apply).
    Containers that a run has left with Docker or Podman, because the engine was away, are removed too,
    and so are images made of dependencies that no run has used for 30 days.
    Worktrees are removed by moat worktree clean.

    \b
    moat prune --older-than 30d --max-size 5g
    moat prune --filter workspace=. --keep 10
    moat prune --orphans --dry-run
    """  # noqa: D301  a backspace tells click not to wrap
    chosen = RunFilters(filters, time.time())
    bounds = Retention(
        age=None if age is None else parse_duration(age),
        runs=count,
        size=None if bytes_ is None else parse_memory(bytes_),
    )
    with Store() as store:
        halves = find_orphans(store) if orphans else None
        runs = [run for run in chosen.select(store.all()) if run.ended]
        if orphans and not (filters or bounds.limited):
            runs = []
        shown = dry_run or not yes
        measured = ended_runs(store, runs) if bounds.limited or shown else []
        if bounds.limited:
            beyond = set(bounds.beyond(measured, time.time()))
            runs = [run for run in runs if run.id in beyond]
        runs = [run for run in runs if not _stays(store, run)]
        left = [] if dry_run else remove_left_by_engines(store, all_images=all_images)
        for line in left:
            sys.stderr.write(f"moat: removed {line}\n")
        if not (runs or halves):
            if not left:
                sys.stderr.write("moat: there is nothing to remove\n")
            return
        listing = _listing(runs, measured, halves) if shown else ""
        if dry_run:
            sys.stdout.write(listing)
            return
        if not yes:
            _ask(listing, len(runs), halves)
        if halves:
            for line in remove_orphans(store, halves):
                sys.stderr.write(f"moat: {line}\n")
        remove_runs(store, runs, force=False)


def _listing(runs: list[Run], measured: list[EndedRun], halves: Orphans | None) -> str:
    """Return what is to be removed, and what it takes of the disk; `measured` has all of the runs."""
    text = ""
    if runs:
        sizes = {each.id: each.size for each in measured}
        together = size(sum(sizes[run.id] for run in runs))
        text = f"{draw(runs, None, terminal_columns())}together {together}\n"
    return text + "".join(f"{line}\n" for line in (halves.lines() if halves else ()))


def _stays(store: Store, run: Run) -> bool:
    """Tell whether a run's copy has what would be lost, and say so."""
    if not store.folder(run.id).copy.exists():
        return False
    from moat.client.unapplied import has_unapplied  # noqa: PLC0415  for copies alone

    stays = has_unapplied(store, run.id)
    if stays:
        sys.stderr.write(f"moat: {run.name} stays: its copy has changes that were not applied\n")
    return stays


def _ask(listing: str, count: int, halves: Orphans | None) -> None:
    """Ask whether the runs may be removed. Raises `UsageError` where nobody can answer."""
    what = f"{count} runs" if count or not halves else "what is left of runs"
    if not (os.isatty(0) and os.isatty(2)):
        raise UsageError(
            f"{what} would be removed, and there is no terminal to ask on",
            "Look: moat prune --dry-run; remove them: moat prune --yes",
        )
    sys.stderr.write(listing)
    if halves and halves.folders:
        sys.stderr.write(
            "moat: to enter these folders again instead: moat doctor --rebuild-index\n"
        )
    click.confirm(f"Remove {what} and all that is recorded of them?", err=True, abort=True)
