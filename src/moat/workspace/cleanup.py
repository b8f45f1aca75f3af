"""The clean-up of a workspace after a run: the host must obey nothing that the run left there.

A path that exists is read-only while the run lives (`moat.workspace.protected_paths`). One that
doesn't exist can't be, without leaving an empty file in the user's project. So a run can create what
wasn't there: a `.git/commondir`, or a repository within the repository, with programs in its
configuration. Git runs them when the user asks for a `git status` of the whole. And a file stops being
read-only when the user replaces it, as `git config` and most editors do.

So a snapshot is taken before the start (`moat.workspace.snapshot`), and after the end whatever git
would obey now and did not obey then is put aside (`moat.workspace.quarantine`). The supervisor does
it at once. Where no supervisor lives, the shim starts this module as a program.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from moat.atomic import replace_file
from moat.paths import RunFolder
from moat.runs import lock, private_folder
from moat.workspace import discovery, snapshot
from moat.workspace.at_start import AtStart
from moat.workspace.beneath import open_beneath, open_folder
from moat.workspace.entries import make_writable
from moat.workspace.file_modes import FileModes
from moat.workspace.findings import Finding, Report
from moat.workspace.folder_cleanup import FolderCleanup
from moat.workspace.frozen_changes import freeze
from moat.workspace.protected_paths import table_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from moat.workspace.discovery import Discovery, Listing
    from moat.workspace.path_rules import PathTable
    from moat.workspace.snapshot import FolderSnapshot

log = logging.getLogger(__name__)


def clean_up(run: RunFolder) -> Report:
    """Clean up after a run that has ended; return what was found and done.

    Only the first call for a run does anything; later ones find nothing.
    """
    unmoved = list(_move_private_away(run))
    if not run.workspace_snapshot.exists():
        return Report(unmoved)
    with lock.locked(run.cleanup_lock):
        try:
            folders = snapshot.load(run)
        except FileNotFoundError:
            return Report()  # another process has just cleaned up
        report = Report([*unmoved, *_clean(folders, run)])
        lines = report.lines()
        for line in lines:
            log.warning("after the run: %s", line)
        if lines:
            replace_file(run.trust_report, report.dumps().encode(), durable=False)
            run.quarantine_report.write_text("".join(f"{line}\n" for line in lines))
        shutil.rmtree(run.workspace_indexes, ignore_errors=True)
        run.workspace_snapshot.unlink()
    return report


def _move_private_away(run: RunFolder) -> Iterator[Finding]:
    """Move the sandbox's home away; that this fails doesn't keep the workspace from being cleaned up."""
    try:
        private_folder.move_away(run)
    except OSError as exc:
        why = f"can't be moved away ({exc.strerror}): links in the workspace may lead there"
        yield Finding(str(run.private), "", "unchecked", why)


def clean_up_dead_runs(runs: Iterable[RunFolder], has_sandbox: Callable[[RunFolder], bool]) -> None:
    """Clean up after runs that have neither a supervisor nor a sandbox left, as after a crash.

    Otherwise a run that begins now would take what they left for the user's own files.
    """
    for run in runs:
        if not run.workspace_snapshot.exists():
            continue
        launch_lock = lock.try_lock(run.launch_lock)
        if launch_lock is None:
            continue  # a supervisor is starting and will clean up
        try:
            if not lock.is_locked(run.supervisor_lock) and not has_sandbox(run):
                clean_up(run)
                freeze(run)
        finally:
            os.close(launch_lock)


def main(run_folder: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    run = RunFolder(Path(run_folder))
    clean_up(run)
    freeze(run)


def _clean(folders: list[FolderSnapshot], run: RunFolder) -> Iterator[Finding]:
    tables = {before.root: table_with(tuple(before.rows)) for before in folders}
    modes = {
        before.root: FileModes(before.root, before.taken_at)
        for before in folders
        if before.taken_at is not None
    }
    found = {
        before.root: _discover(before, tables[before.root], modes.get(before.root))
        for before in folders
    }
    checked = {
        os.path.realpath(Path(before.root, path))
        for before in folders
        for path in (*found[before.root].git_folders, *before.git_folders, *before.unwritable)
    }
    roots = [Path(before.root) for before in folders]
    start = AtStart(run)
    for before in folders:
        cleanup = FolderCleanup(before, checked, roots, run, start, tables[before.root])
        yield from cleanup.run(found[before.root], modes.get(before.root))


def _discover(before: FolderSnapshot, table: PathTable, modes: FileModes | None) -> Discovery:
    list_folder = discovery.list_folder if modes is None else modes.list_folder
    with open_folder(Path(before.root)) as root:

        def read(path: str) -> Listing:
            try:
                return list_folder(path)
            except PermissionError:
                # Git finds what it knows by name without the permission to list the folder.
                with open_beneath(root, Path(path).relative_to(root.path)) as folder:
                    make_writable(folder)
                return list_folder(path)

        return discovery.discover(
            root.path,
            discovery.MAX_FOLDERS_AFTER,
            skipped=set(before.unwritable),
            enters_git=True,
            table=table,
            read=read,
        )


if __name__ == "__main__":
    main(sys.argv[1])
