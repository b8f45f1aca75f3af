"""The repositories in a folder: what git would take for one when it comes by.

Names only: nothing is opened but folders, and no symbolic link is followed. Level by level, so that
where the work is bounded what lies near is found first.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

GIT: Final = ".git"

# Of a large project; it takes a tenth of a second, of the time in which the user waits for a start.
MOST_FOLDERS_BEFORE: Final = 10_000
# More than any project has, and what a hostile run may make us look at.
MOST_FOLDERS_AFTER: Final = 1_000_000


@dataclass(slots=True)
class Found:
    """All relative to the folder."""

    folders: list[PurePosixPath] = field(default_factory=list[PurePosixPath])
    """Git folders: a `.git`, a bare repository, what lies in `modules` and `worktrees`."""
    closed: list[PurePosixPath] = field(default_factory=list[PurePosixPath])
    """Folders called `.git` that were not entered."""
    pointers: list[PurePosixPath] = field(default_factory=list[PurePosixPath])
    """What is called `.git` and is no folder: a file that names one, or a symbolic link."""
    unread: list[PurePosixPath] = field(default_factory=list[PurePosixPath])
    """Folders that could not be looked into."""
    complete: bool = True


def find(  # noqa: C901  one loop over what may be in a folder
    root: Path,
    most: int,
    *,
    enters: Callable[[str], bool],
    read: Callable[[str], list[tuple[str, bool]]] | None = None,
) -> Found:
    """What is in `root` and the folders that `enters` lets us go on to, at most so many.

    `read` lists a folder (`listing` does, where none is given). Raises no `OSError`.
    """
    found = Found()
    listed = read or listing
    ahead = deque([""])  # text: a path for each of thousands of folders takes twice as long
    top = str(root)
    left = most
    while ahead:
        if left == 0:
            found.complete = False
            break
        left -= 1
        folder = ahead.popleft()
        try:
            entries = listed(f"{top}/{folder}")
        except FileNotFoundError:
            continue
        except OSError:
            found.unread.append(PurePosixPath(folder))
            continue
        if is_git_folder({name for name, _ in entries}):
            found.folders.append(PurePosixPath(folder))
        for name, is_folder in entries:
            if not is_folder and name != GIT:
                continue
            below = f"{folder}/{name}" if folder else name
            if not is_folder:
                found.pointers.append(PurePosixPath(below))
            elif enters(below):
                ahead.append(below)
            elif name == GIT:
                found.closed.append(PurePosixPath(below))
    return found


def listing(folder: str) -> list[tuple[str, bool]]:
    """The names in it, and whether each is a folder."""
    with os.scandir(folder) as entries:
        return [(each.name, each.is_dir(follow_symlinks=False)) for each in entries]


def is_git_folder(names: Collection[str]) -> bool:
    """As git itself tells (setup.c, is_git_directory), by the names that are there."""
    return "HEAD" in names and ("commondir" in names or {"objects", "refs"} <= set(names))
