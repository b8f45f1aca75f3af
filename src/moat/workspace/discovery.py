"""The search of a folder for repositories and for other paths that programs obey unasked.

The search looks at names alone. It opens nothing but folders and follows no symbolic link. It goes
level by level, so that a bounded search finds what lies near first.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace.git_layout import GIT
from moat.workspace.known_paths import PROJECT_TABLE
from moat.workspace.path_rules import PACKAGE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from moat.workspace.path_rules import PathTable

# The folders of a large project. They take a tenth of a second, for which the user waits at the start.
MAX_FOLDERS_BEFORE: Final = 10_000
# More than any project has, and a bound on what a hostile run can make us look at.
MAX_FOLDERS_AFTER: Final = 1_000_000

# One folder can have any number of names. As many take a third of a second.
MAX_NAMES_IN_FOLDER: Final = 500_000
_NAMES_PER_FOLDER: Final = 50
"""More than the folders of projects have on average."""

_LENGTH: Final = len(GIT)
"""The length of the names by which git knows its places: `.git` and `HEAD`."""

# Package managers own these folders, remove and fill them. Nobody opens a package as a project.
PACKAGES: Final = f"/{PACKAGE_FOLDER}/"

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
        short = {name: name.lower() for name in others if len(name) == _LENGTH}
        # Git wants a file or link of that name, and few folders have one.
        if "head" in short.values() and is_git_folder({*folders, *others}):
            self.git_folders.append(PurePosixPath(folder))
        for name, lowered in short.items():
            if lowered == GIT:
                self.gitfiles.append(PurePosixPath(folder, name))
        named = table.among(folders + others)
        if named and PACKAGES not in f"/{folder}/":
            self.named.extend(PurePosixPath(folder, name) for name in named)


def entries_of(path: str) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder, up to the bound on their number."""
    with os.scandir(path) as entries:
        yield from islice(entries, MAX_NAMES_IN_FOLDER)


def list_folder(path: str) -> Listing:
    folders: list[str] = []
    others: list[str] = []
    for entry in entries_of(path):
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
    top, names, is_whole = str(root), limit * _NAMES_PER_FOLDER, True
    ahead = deque([""])  # strings: a `Path` for each of thousands of folders takes twice as long
    while ahead and limit and names > 0:
        limit -= 1
        folder = ahead.popleft()
        try:
            folders, others = read(f"{top}/{folder}")
        except FileNotFoundError:
            continue
        except OSError:
            found.unreadable.append(PurePosixPath(folder))
            continue
        count = len(folders) + len(others)
        names -= count
        is_whole = is_whole and count < MAX_NAMES_IN_FOLDER
        found.add_folder(folder, folders, others, table)
        for name in folders:
            path = f"{folder}/{name}" if folder else name
            if name == GIT and not enters_git:
                found.unentered.append(PurePosixPath(path))
            elif path not in skipped:
                ahead.append(path)
    found.complete = is_whole and not ahead
    return found


def is_git_folder(names: Collection[str]) -> bool:
    """Return whether git takes a folder with these names in it for a git folder.

    Git's own test is is_git_directory in its setup.c. Upper and lower case make no difference, for they
    make none to git on many file systems.
    """
    lowered = {name.lower() for name in names}
    return "head" in lowered and ("commondir" in lowered or {"objects", "refs"} <= lowered)
