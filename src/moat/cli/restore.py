"""`moat restore [RUN] [-- PATH...]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import WithCommand, split_at_dashes
from moat.cli.found import find
from moat.cli.path_limits import is_chosen, is_listed
from moat.errors import UsageError
from moat.runs.store import Store
from moat.workspace.patch import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.workspace.changes import Change
    from moat.workspace.restoring import Restored

_GIT = ".git"


@click.command("restore", cls=WithCommand)
@click.argument("before", nargs=-1, metavar="[RUN] [-- PATH...]")
@click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.pass_context
def command(ctx: click.Context, before: tuple[str, ...], *, dry_run: bool, yes: bool) -> None:
    """Bring the workspace back to what it was when a run started, or the PATHs in it.

    Files that the run has changed or removed come back, and those that it made go. Nothing is lost: what
    you have changed since the end of the run stays, and so does what the record can't bring back (moat
    diff shows it). Such paths are named, and the exit code is then 1.

    Git folders and folders that tools fill, such as node_modules and .venv, are left alone unless a PATH
    names them. Commits of the run are git's to undo: git reset, git reflog.
    """
    from moat.workspace.frozen_changes import changes_of  # noqa: PLC0415  loads slowly
    from moat.workspace.restoring import restore  # noqa: PLC0415

    reference, limits = split_at_dashes(ctx, before)
    with Store() as store:
        run = find(store, reference)
        if not run.ended:
            raise UsageError(
                f"run {run.name} is still at work in its workspace",
                f"End it first: moat stop {run.name}",
            )
        if store.spec(run.id).copy:
            raise UsageError(
                f"run {run.name} worked on a copy, so nothing of yours was changed",
                f"Take its changes over: moat apply {run.name}; or drop them: moat destroy -f"
                f" {run.name}",
            )
        with changes_of(store.folder(run.id), ended=True) as (changes, pack):
            root = Path(changes.root)
            chosen = [change for change in changes.changes if _is_meant(change, limits)]
            if not yes and not dry_run:
                _ask(list(restore(root, chosen, pack, dry_run=True)), root)
            done = list(restore(root, chosen, pack, dry_run=dry_run))
    sys.stdout.writelines(_lines(done))
    if not done:
        sys.stderr.write("moat: there is nothing to restore\n")
    if any(each.left is not None for each in done):
        ctx.exit(1)


def _is_meant(change: Change, limits: tuple[str, ...]) -> bool:
    names_git = any(_GIT in limit.split("/") for limit in limits)
    if _GIT in change.path.split("/") and not names_git:
        return False
    return is_chosen(change.path, limits) and is_listed(change, limits)


def _ask(plan: list[Restored], root: Path) -> None:
    """Ask whether the plan is to be carried out. Raises `UsageError` where nobody can answer."""
    if all(each.left is not None for each in plan):
        return  # it changes nothing
    if not (os.isatty(0) and os.isatty(2)):
        raise UsageError(
            "files would be replaced, and there is no terminal to ask on",
            "Look: moat restore --dry-run; do it: moat restore --yes",
        )
    sys.stderr.writelines(_lines(plan))
    click.confirm(f"Change these files in {quoted(str(root))}?", err=True, abort=True)


def _lines(done: Iterable[Restored]) -> list[str]:
    return [_line(each) for each in sorted(done, key=lambda each: each.path.split("/"))]


def _line(each: Restored) -> str:
    if each.left is not None:
        return f"left      {quoted(each.path)}: {each.left}\n"
    return f"{'removed ' if each.removed else 'restored'}  {quoted(each.path)}\n"
