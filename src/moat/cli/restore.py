"""`moat restore [RUN] [-- PATH...]`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from moat.cli.arguments import WithCommand, split_at_dashes
from moat.cli.found import find
from moat.cli.restored import ask, is_meant, lines
from moat.errors import UsageError
from moat.runs.imported import check_own
from moat.runs.store import Store
from moat.workspace.patch import quoted


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

    reference, limits = split_at_dashes(ctx, before, paths=True)
    with Store() as store:
        run = find(store, reference)
        check_own(run, "it has changed nothing here")
        if not run.ended:
            raise UsageError(
                f"run {run.name} is still at work in its workspace",
                f"End it first: moat stop {run.name}; or: moat snapshot restore {run.name}@start",
            )
        if store.spec(run.id).copy:
            raise UsageError(
                f"run {run.name} worked on a copy, so nothing of yours was changed",
                f"Take its changes over: moat apply {run.name}; or drop them: moat destroy -f"
                f" {run.name}",
            )
        with changes_of(store.folder(run.id), ended=True) as (changes, pack):
            root = Path(changes.root)
            chosen = [change for change in changes.changes if is_meant(change, limits)]
            if not yes and not dry_run:
                question = f"Change these files in {quoted(str(root))}?"
                ask(list(restore(root, chosen, pack, dry_run=True)), question, "moat restore")
            done = list(restore(root, chosen, pack, dry_run=dry_run))
    sys.stdout.writelines(lines(done))
    if not done:
        sys.stderr.write("moat: there is nothing to restore\n")
    if any(each.left is not None for each in done):
        ctx.exit(1)
