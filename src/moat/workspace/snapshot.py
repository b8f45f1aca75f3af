"""A snapshot of what the host obeyed in a run's writable folders before the run started.

It is kept in the run's folder. After the run it shows what the run changed, and what was the user's
own (`moat.workspace.cleanup`).
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from moat import typed_json
from moat.atomic import replace_file
from moat.spec import ProtectedPath
from moat.workspace.beneath import PathHandle, SymbolicLinkError, open_beneath, open_folder
from moat.workspace.entries import read_text
from moat.workspace.git_index_review import copy_index, hash_size
from moat.workspace.git_state import GitState, git_state, replacements
from moat.workspace.watched_paths import Watched, watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.paths import RunFolder
    from moat.workspace.covers import WritableFolder


@dataclass(frozen=True, slots=True)
class FolderSnapshot:
    """One writable folder before the start; paths are relative to `root`."""

    root: str
    git_folders: dict[str, GitState] = field(default_factory=dict[str, GitState])
    """The state of every git folder that was protected."""
    gitfiles: dict[str, str | None] = field(default_factory=dict[str, str | None])
    """The text of every `.git` file."""
    unwritable: list[str] = field(default_factory=list[str])
    """Folders that the run couldn't write: hidden ones, and those protected as a whole."""
    absent: list[str] = field(default_factory=list[str])
    """Paths that the host would obey and that didn't exist."""
    absent_programs: list[str] = field(default_factory=list[str])
    """Files that the host would obey, but not folders, and that didn't exist."""
    watched: Watched | None = None
    """Paths that the host obeys; earlier versions of Moat didn't record them."""
    searched_at: int | None = None
    """The time (ns) of a search that ended before it had seen all of the folder."""
    rows: list[ProtectedPath] = field(default_factory=list[ProtectedPath])
    """Rows that the user had added to the table of protected paths."""
    taken_at: int | None = None
    """The time (ns) at which the snapshot was taken, before the run could change anything."""
    indexes: dict[str, str] = field(default_factory=dict[str, str])
    """The name of the copy of the index, by git folder."""
    links: dict[str, str] = field(default_factory=dict[str, str])
    """Symbolic links by which git comes to what it runs, and what each leads to."""
    uncovered: list[str] = field(default_factory=list[str])
    """Descriptions of what was not read-only because there was too much of it."""
    replacements: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The objects in whose place git shows others, by git folder."""

    @classmethod
    def of(cls, folder: WritableFolder, indexes: IndexCopies) -> FolderSnapshot:
        protected = folder.protected
        now = time.time_ns()
        watched, complete = watch(folder.root, protected.watched)
        with open_folder(folder.root) as root:
            return cls(
                str(folder.root),
                {str(path): _git_state(root, path) for path in protected.git_folders},
                {str(path): _text(root, path) for path in protected.gitfiles},
                [str(path) for path in (*folder.hidden, *protected.sealed)],
                [str(path) for path in protected.absent],
                [str(path) for path in protected.absent_programs],
                watched,
                None if protected.complete and complete else now,
                list(protected.rows),
                now,
                indexes.copy(root, protected.git_folders[:_MAX_INDEXES]),
                {str(path): str((folder.root / path).readlink()) for path in protected.links},
                list(protected.uncovered),
                {
                    str(path): _replacements(root, path)
                    for path in protected.git_folders[:_MAX_INDEXES]
                },
            )


class IndexCopies:
    """The copies of git's indexes, in a folder of the run's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def copy(self, root: PathHandle, git_folders: Iterable[PurePosixPath]) -> dict[str, str]:
        """Copy the indexes of git folders below `root`; return the names of those that were copied."""
        names: dict[str, str] = {}
        for path in git_folders:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            name = str(self._number)
            with open_beneath(root, path) as git:
                if copy_index(git, self._folder / name, hash_size(root.path / path)):
                    names[str(path)] = name
                    self._number += 1
        return names


def take(folders: Iterable[WritableFolder], run: RunFolder) -> None:
    """Save a snapshot of the folders, before the run starts."""
    indexes = IndexCopies(run.workspace_indexes)
    snapshots = [asdict(FolderSnapshot.of(folder, indexes)) for folder in folders]
    if snapshots:
        replace_file(run.workspace_snapshot, json.dumps(snapshots).encode(), durable=False)


# Of the nearest repositories: an index can be as large as a few megabytes.
_MAX_INDEXES: Final = 20


def cleanup_command(run: RunFolder) -> list[str]:
    """Return the command line of the program that cleans up after the run (`workspace.cleanup`)."""
    return [sys.executable, "-I", "-m", "moat.workspace.cleanup", str(run.root)]


# The names of the fields in earlier versions: a run may outlive an update of Moat.
_EARLIER_FIELDS: Final = {
    "orders": "git_folders",
    "pointers": "gitfiles",
    "untouchable": "unwritable",
    "uninvited": "absent",
}


def load(run: RunFolder) -> list[FolderSnapshot]:
    """Return the saved snapshots of folders that are where they were; raises `FileNotFoundError`.

    A folder in another one can have been moved there, and then it is found as a part of that.
    """
    saved: list[dict[str, Any]] = json.loads(run.workspace_snapshot.read_text())
    folders = [
        typed_json.read(
            FolderSnapshot, {_EARLIER_FIELDS.get(name, name): each[name] for name in each}
        )
        for each in saved
    ]
    roots = [Path(folder.root) for folder in folders]
    return [folder for folder in folders if _is_in_place(Path(folder.root), roots)]


def _is_in_place(root: Path, roots: list[Path]) -> bool:
    """Return whether a writable folder is one still, and no link of the run's leads there instead."""
    outermost = next(top for top in (*reversed(root.parents), root) if top in roots)
    if outermost == root:
        return root.is_dir()
    try:
        with (
            open_folder(outermost) as top,
            open_beneath(top, PurePosixPath(root.relative_to(outermost))) as found,
        ):
            return found.is_folder
    except (OSError, SymbolicLinkError):
        return False


def _git_state(root: PathHandle, path: PurePosixPath) -> GitState:
    with open_beneath(root, path) as git:
        return git_state(git)


def _replacements(root: PathHandle, path: PurePosixPath) -> list[str]:
    with open_beneath(root, path) as git:
        return sorted(replacements(git))


def _text(root: PathHandle, path: PurePosixPath) -> str | None:
    with open_beneath(root, path.parent) as parent:
        return read_text(parent, path.name)
