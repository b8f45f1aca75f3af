"""Symbolic links in a git folder, by which git on the host would write elsewhere.

Git makes none, but follows those that it finds: it appends to `logs/HEAD`, and it writes
`COMMIT_EDITMSG` and `FETCH_HEAD`, wherever these lead. With names of branches and messages from
a server, that is enough to write a line into a file of the user's shell.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A hostile run can make any number; so many that nobody would use the repository again.
_MAX_LINKS: Final = 1_000


def new_links(git: Path, since: int) -> list[PurePosixPath]:
    """Return the symbolic links below a git folder that were made after the time `since` (ns).

    A run can't forge the time of the last change (st_ctime, inode(7)).
    """
    return list(islice(_links(str(git), since), _MAX_LINKS))


def _links(top: str, since: int) -> Iterator[PurePosixPath]:
    ahead = [""]
    while ahead:
        folder = ahead.pop()
        try:
            with os.scandir(f"{top}/{folder}") as found:
                entries = list(found)
        except OSError:
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                ahead.append(path)
            elif entry.is_symlink() and entry.stat(follow_symlinks=False).st_ctime_ns >= since:
                yield PurePosixPath(path)
