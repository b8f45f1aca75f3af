"""Deleting what a sandbox has left, whatever that is.

Folders nested deeper than any recursion and any number of descriptors can follow, folders without
rights (`chmod 000`, Go's module cache), symbolic links that point out. `shutil.rmtree` gives up on
the first two, and a run that can't be removed would be there for good.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def empty(folder: Path) -> None:
    """Deletes all that is in the folder; follows no link, and holds one folder open at a time.

    Raises `OSError`; what is left then can be deleted by another call.
    """
    here = os.open(folder, _OPEN)
    try:
        # The way down: of each folder what is still to be done, and what it was when we left it.
        above: list[tuple[str, list[str], os.stat_result]] = []
        names = _delete_files(here)
        while names or above:
            if names:
                name = names.pop()
                above.append((name, names, os.fstat(here)))
                here = _step(here, name)
                names = _delete_files(here)
            else:
                name, names, left = above.pop()
                here = _step(here, "..")
                if not os.path.samestat(left, os.fstat(here)):
                    # Somebody lives and moves folders: up is not where we came from.
                    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(folder))
                os.rmdir(name, dir_fd=here)
    finally:
        os.close(here)


def _delete_files(folder: int) -> list[str]:
    """Deletes all but folders; their names, and the right to go on there."""
    with os.scandir(folder) as entries:
        found = [(each.name, each.is_dir(follow_symlinks=False)) for each in entries]
    for name, is_folder in found:
        if is_folder:
            os.chmod(name, 0o700, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in found if is_folder]


def _step(here: int, name: str) -> int:
    there = os.open(name, _OPEN, dir_fd=here)
    os.close(here)
    return there
