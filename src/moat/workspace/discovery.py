"""The search of a folder for repositories and for other paths that programs obey unasked.

The search looks at names alone. It opens nothing but folders and follows no symbolic link. It goes
level by level, so that a bounded search finds what lies near first.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace.git_layout import GIT
from moat.workspace.known_paths import PROJECT_TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from moat.workspace.path_rules import PathTable

# The folders of a large project. They take a tenth of a second, for which the user waits at the start.
MAX_FOLDERS_BEFORE: Final = 10_000
# More than any project has, and a bound on what a hostile run can make us look at.
MAX_FOLDERS_AFTER: Final = 1_000_000

# Package managers own these folders, remove and fill them. Nobody opens a package as a project.
_PACKAGES: Final = "/node_modules/"

Listing = tuple[list[str], list[str]]
"""The names of a folder's folders, and of everything else in it."""


@dataclass(slots=True)
class Discovery:
    """The result of a search; all paths are relative to the folder that was searched."""

    git_folders: list[PurePosixPath] = field(default_factory=list[PurePosixPath])
    """Every `.git` folder and bare repository, and those below `modules` and `worktrees`."""
    unentered: list[PurePosixPath] = field(default_factory=list[PurePosixPath])
    """Folders called `.git` that the search was told not to enter."""
    gitfiles: list[PurePosixPath] = field(default_factory=list[PurePosixPath])
    """Files and symbolic links called `.git` (gitrepository-layout(5)): they lead to a git folder."""
    named: list[PurePosixPath] = field(default_factory=list[PurePosixPath])
    """Files and folders with whose name the path of a rule begins."""
    unreadable: list[PurePosixPath] = field(default_factory=list[PurePosixPath])
    complete: bool = True
    """False if the search reached its limit."""

    def add_folder(
        self, folder: str, folders: list[str], others: list[str], table: PathTable
    ) -> None:
        """Note what there is in a folder, given the names in it."""
        # Git wants a file or link of that name, and few folders have one.
        if "HEAD" in others and is_git_folder({*folders, *others}):
            self.git_folders.append(PurePosixPath(folder))
        if GIT in others:
            self.gitfiles.append(PurePosixPath(folder, GIT))
        named = table.among(folders + others)
        if named and _PACKAGES not in f"/{folder}/":
            self.named.extend(PurePosixPath(folder, name) for name in named)


def list_folder(path: str) -> Listing:
    folders: list[str] = []
    others: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            (folders if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
    return folders, others


def discover(
    root: Path,
    limit: int,
    *,
    skipped: Collection[str] = (),
    enters_git: bool,
    table: PathTable = PROJECT_TABLE,
    read: Callable[[str], Listing] = list_folder,
) -> Discovery:
    """Search `root` and the folders below it, at most `limit` in all.

    `table` has the rules whose paths are looked for. `skipped` are folders not to enter; those called
    `.git` are entered if `enters_git` says so. A folder that `read` can't list is noted as unreadable;
    no `OSError` is raised.
    """
    found = Discovery()
    top = str(root)
    ahead = deque([""])  # strings: a `Path` for each of thousands of folders takes twice as long
    while ahead and limit:
        limit -= 1
        folder = ahead.popleft()
        try:
            folders, others = read(f"{top}/{folder}")
        except FileNotFoundError:
            continue
        except OSError:
            found.unreadable.append(PurePosixPath(folder))
            continue
        found.add_folder(folder, folders, others, table)
        for name in folders:
            path = f"{folder}/{name}" if folder else name
            if name == GIT and not enters_git:
                found.unentered.append(PurePosixPath(path))
            elif path not in skipped:
                ahead.append(path)
    found.complete = not ahead
    return found


def is_git_folder(names: Collection[str]) -> bool:
    """Return whether git takes a folder with these names in it for a git folder.

    Git's own test is is_git_directory in its setup.c.
    """
    return "HEAD" in names and ("commondir" in names or {"objects", "refs"} <= set(names))
