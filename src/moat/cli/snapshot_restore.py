"""`moat snapshot restore`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from moat.cli.found import supervisor_of
from moat.cli.restored import ask, is_meant, lines
from moat.cli.snapshot_found import SnapshotReference, snapshot_of
from moat.cli.snapshot_text import warnings
from moat.runs.store import Store
from moat.workspace.history.record import RESTORE
from moat.workspace.history.restoration import Restoration
from moat.workspace.history.taking import take
from moat.workspace.patch import quoted

if TYPE_CHECKING:
    from moat.cli.snapshot_found import Found
    from moat.workspace.changes import Change
    from moat.workspace.history.record import Head
    from moat.workspace.restoring import Restored


@click.command("restore")
@click.argument("snapshot", type=SnapshotReference(), metavar="SNAPSHOT")
@click.argument("paths", nargs=-1, type=click.Path(), metavar="[PATH...]")
@click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option(
    "--protected",
    is_flag=True,
    help="Bring back what programs on this machine obey, too, as the run wrote it.",
)
@click.pass_context
def restore(
    ctx: click.Context,
    snapshot: str,
    paths: tuple[str, ...],
    *,
    dry_run: bool,
    yes: bool,
    protected: bool,
) -> None:
    """Bring the workspace back to a snapshot, or the PATHs in it. The run may be at work meanwhile.

    The present state is kept in another snapshot first, so nothing is lost. Files come back as they
    were. Without PATHs, those that weren't there are removed; you see all of them before. A path that
    changes in this moment stays and is named, and so is one whose content isn't kept. The exit code is
    then 1.

    Git folders and folders that tools fill, such as node_modules and .venv, are left alone unless a PATH
    names them. Protected paths (docs/protected-paths.md) only come back where the snapshot has them as
    they were at the start of the run.
    """
    with Store() as store:
        found = snapshot_of(store, snapshot)

        def meant(change: Change) -> bool:
            return is_meant(change, paths) and not (paths and change.before is None)

        spec = store.spec(found.run.id)
        plan = Restoration(found.history, spec, found.state, meant, protected=protected)
        done = plan.preview()
        agreed = {each.path for each in done if each.left is None}
        if agreed and not dry_run:
            if not yes:
                ask(done, _question(found, plan), f"moat snapshot restore {snapshot}")
            before = _take(store, found, paths)
            done = plan.carry_out(before, None if yes else agreed)
            _tell(found, before)
    _print(done, plan.notes)
    if any(each.left is not None for each in done):
        ctx.exit(1)


def _question(found: Found, plan: Restoration) -> str:
    at_work = "" if found.run.ended else f", where {found.run.name} is at work,"
    return f"Change these files in {quoted(str(plan.root))}{at_work} as listed?"


def _take(store: Store, found: Found, paths: tuple[str, ...]) -> Head:
    """Take the snapshot of the present; for a run that lives, its audit log says who restores what."""
    if found.run.ended:
        folder = store.folder(found.run.id)
        taken = take(folder, store.spec(found.run.id).snapshots, RESTORE)
        if taken is None:
            raise AssertionError("one before a restore is always taken")
        return taken.head
    answer = supervisor_of(store, found.run).post(
        "/v1/restore", snapshot=found.name, paths=list(paths)
    )
    return found.history.load(answer["number"]).head


def _tell(found: Found, before: Head) -> None:
    for each in warnings(before):
        sys.stderr.write(f"moat: {each}\n")
    name = f"{found.run.name}@{before.number}"
    sys.stderr.write(f"moat: the state before is kept: moat snapshot restore {name}\n")
    if not found.run.ended:
        sys.stderr.write(f"moat: {found.run.name} goes on, with the files as they are now\n")


def _print(done: list[Restored], notes: list[str]) -> None:
    sys.stderr.writelines(f"moat: {note}\n" for note in notes)
    sys.stdout.writelines(lines(done))
    if not done:
        sys.stderr.write("moat: there is nothing to restore\n")
