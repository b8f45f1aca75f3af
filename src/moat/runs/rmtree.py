"""The deletion of whatever a sandbox has left.

That may be folders nested deeper than any recursion and any number of descriptors can follow, folders
without permissions (`chmod 000`, Go's module cache), and symbolic links that lead out. `shutil.rmtree`
gives up on the first two, and then the run could never be removed.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def empty_folder(folder: Path) -> None:
    """Delete everything in the folder, without following links and with one folder open at a time.

    Raises `OSError`. Another call can delete what is left then.
    """
    here = os.open(folder, _OPEN)
    try:
        # The folders above: the name of each child entered, what is left to do there, and its identity.
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
                    # A process is alive and moves folders: `..` isn't the folder that we came from.
                    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(folder))
                os.rmdir(name, dir_fd=here)
    finally:
        os.close(here)


def _delete_files(folder: int) -> list[str]:
    """Delete the files, make the folders accessible, and return the folders' names."""
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
