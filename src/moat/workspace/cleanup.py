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
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.paths import RunFolder
from moat.runs import lock
from moat.workspace import discovery, snapshot
from moat.workspace.beneath import PathHandle, SymbolicLinkError, open_beneath, open_folder
from moat.workspace.discovery import FIRST_NAMES
from moat.workspace.entries import LINK, exists, is_folder, make_writable, read_text, set_aside
from moat.workspace.frozen_changes import freeze
from moat.workspace.quarantine import GitQuarantine
from moat.workspace.watched_paths import changes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.workspace.discovery import Discovery, Listing
    from moat.workspace.snapshot import FolderSnapshot

log = logging.getLogger(__name__)

# A hostile run can cause any number of lines, and a person is to read them.
_MAX_LINES: Final = 100
_MAX_NAMES: Final = 10


def clean_up(run: RunFolder) -> list[str]:
    """Clean up after a run that has ended; return what was done, a line for each change.

    Only the first call for a run does anything; later ones return nothing.
    """
    if not run.workspace_snapshot.exists():
        return []
    with lock.locked(run.cleanup_lock):
        try:
            folders = snapshot.load(run)
        except FileNotFoundError:
            return []  # another process has just cleaned up
        lines = [_printable(line) for line in _clean(folders)]
        if len(lines) > _MAX_LINES:
            lines[_MAX_LINES:] = [f"and {len(lines) - _MAX_LINES} more"]
        for line in lines:
            log.warning("after the run: %s", line)
        if lines:
            run.quarantine_report.write_text("".join(f"{line}\n" for line in lines))
        run.workspace_snapshot.unlink()
    return lines


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


def command(run: RunFolder) -> list[str]:
    """Return the command line of a program that cleans up after the run."""
    return [sys.executable, "-I", "-m", "moat.workspace.cleanup", str(run.root)]


def main(run_folder: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    run = RunFolder(Path(run_folder))
    clean_up(run)
    freeze(run)


def _clean(folders: list[FolderSnapshot]) -> Iterator[str]:
    found = {before.root: _discover(before) for before in folders}
    checked = {
        os.path.realpath(Path(before.root, path))
        for before in folders
        for path in (*found[before.root].git_folders, *before.git_folders, *before.unwritable)
    }
    roots = [Path(before.root) for before in folders]
    for before in folders:
        yield from _FolderCleanup(before, checked, roots).run(found[before.root])


def _discover(before: FolderSnapshot) -> Discovery:
    unwritable = set(before.unwritable)
    with open_folder(Path(before.root)) as root:

        def read(path: str) -> Listing:
            try:
                return discovery.list_folder(path)
            except PermissionError:
                # Git finds what it knows by name without the permission to list the folder.
                with open_beneath(root, Path(path).relative_to(root.path)) as folder:
                    make_writable(folder)
                return discovery.list_folder(path)

        return discovery.discover(
            root.path,
            discovery.MAX_FOLDERS_AFTER,
            skipped=unwritable,
            enters_git=True,
            read=read,
        )


class _FolderCleanup:
    """The clean-up of one writable folder.

    `checked` holds the real path of every git folder that is looked at, in whichever writable folder
    it lies; `roots` are the writable folders.
    """

    def __init__(self, before: FolderSnapshot, checked: set[str], roots: list[Path]) -> None:
        self._before = before
        self._root = Path(before.root)
        self._checked = checked
        self._roots = roots

    def run(self, found: Discovery) -> Iterator[str]:
        before = self._before
        git_folders = dict.fromkeys([*found.git_folders, *map(PurePosixPath, before.git_folders)])
        with open_folder(self._root) as root:
            for check, paths in (
                (self._check_absent, map(PurePosixPath, before.absent)),
                (self._check_absent_program, map(PurePosixPath, before.absent_programs)),
                (self._check_git_folder, git_folders),
                (self._check_gitfile, found.gitfiles),
            ):
                for path in paths:
                    yield from self._attempt(check, root, path)
            yield from self._report_changes(root, found)
        for path in found.unreadable:
            yield f"{self._root / path} can't be read: look what is in it before you use git"
        if not found.complete:
            yield f"{self._root} has too many folders to look at all of them: look before you use git"

    def _attempt(self, check: _Check, root: PathHandle, path: PurePosixPath) -> Iterator[str]:
        """Run one check; its failure doesn't keep the others from being run."""
        try:
            yield from check(root, path)
        except (FileNotFoundError, NotADirectoryError, SymbolicLinkError):
            return  # nothing is there, or git would not take the path there as part of this folder
        except OSError as exc:
            yield f"{self._root / path} can't be made harmless ({exc.strerror}): don't use git there"

    def _check_absent(self, root: PathHandle, path: PurePosixPath) -> Iterator[str]:
        with open_beneath(root, path.parent) as parent:
            if exists(parent, path.name):
                yield f"{self._root / path}: renamed to {set_aside(parent, path.name)}"

    def _check_absent_program(self, root: PathHandle, path: PurePosixPath) -> Iterator[str]:
        with open_beneath(root, path.parent) as parent:
            if exists(parent, path.name) and not is_folder(parent, path.name):
                yield f"{self._root / path}: renamed to {set_aside(parent, path.name)}"

    def _check_git_folder(self, root: PathHandle, path: PurePosixPath) -> Iterator[str]:
        place = self._root / path
        with open_beneath(root, path) as git:
            quarantine = GitQuarantine(
                git,
                self._before.git_folders.get(str(path)),
                is_checked=lambda text: _real_path(place, text) in self._checked,
                keeps_worktree=lambda text: self._is_writable(_real_path(place, text)),
            )
            for line in quarantine.run():
                yield f"{place}/{line}"

    def _check_gitfile(self, root: PathHandle, path: PurePosixPath) -> Iterator[str]:
        """Let a `.git` file or link lead only to a git folder that is checked, or to nothing."""
        with open_beneath(root, path.parent) as parent:
            text = read_text(parent, path.name)
            if text is None or text == self._before.gitfiles.get(str(path)):
                return
            target = text.removeprefix(LINK if text.startswith(LINK) else "gitdir: ")
            folder = _real_path(self._root / path.parent, target.rstrip("\r\n"))
            if folder not in self._checked and (os.path.exists(folder) or "\0" in target):  # noqa: PTH110
                yield f"{self._root / path}: renamed to {set_aside(parent, path.name)}"

    def _report_changes(self, root: PathHandle, found: Discovery) -> Iterator[str]:
        """Name what other programs than git would obey, in one line."""
        before = self._before
        if before.watched is None:
            return
        named: list[str] = []
        for path, program in changes(self._root, before.watched, found, before.searched_at):
            if str(path) not in before.watched and self._stops_runs(path):
                yield from self._attempt(self._check_absent, root, path)
            else:
                named.append(f"{path} ({program})")
        if named:
            listed, more = ", ".join(named[:_MAX_NAMES]), len(named) - _MAX_NAMES
            rest = f" and {more} more" if more > 0 else ""
            yield f"{self._root}: new or changed, and obeyed unasked: {listed}{rest}"

    def _stops_runs(self, path: PurePosixPath) -> bool:
        """Return whether the next run would be refused because of a symbolic link at this path."""
        is_refused = any(rule.refuses_links for rule in FIRST_NAMES.rules(str(path)))
        return is_refused and (self._root / path).is_symlink()

    def _is_writable(self, path: str) -> bool:
        return any(map(Path(path).is_relative_to, self._roots))


_Check = Callable[[PathHandle, PurePosixPath], Iterator[str]]


def _real_path(folder: Path, text: str) -> str:
    """Return where a path in a git folder leads; a text with a zero byte leads nowhere."""
    return text if "\0" in text else os.path.realpath(folder / text)


def _printable(line: str) -> str:
    """Replace what a terminal might interpret: the run chose the names in the line."""
    return "".join(each if each.isprintable() else "?" for each in line)


if __name__ == "__main__":
    main(sys.argv[1])
