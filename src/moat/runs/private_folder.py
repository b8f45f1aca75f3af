"""A sandbox's home and /tmp, which it wrote outside the workspace, once the run has ended."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from moat.runs.rmtree import empty_folder

if TYPE_CHECKING:
    from pathlib import Path

    from moat.paths import RunFolder

_MOVED: Final = "ended-"


def move_away(folder: RunFolder) -> None:
    """Move what the sandbox wrote to a place in `private` whose name it can't have known.

    A sandbox sees where its home lies on the host (mountinfo). A symbolic link in the workspace may lead
    there, and there may be a repository of whose configuration git on the host would make programs.
    The host keeps it (`--keep`), or takes a while to delete it. Another call finds nothing to do.
    """
    try:
        names = os.listdir(folder.private)  # noqa: PTH208  only names are needed
    except FileNotFoundError:
        return
    left = [name for name in names if not name.startswith(_MOVED)]
    if not left:
        return
    place = folder.private / f"{_MOVED}{os.urandom(8).hex()}"
    place.mkdir(mode=0o700)
    for name in left:
        source = folder.private / name
        _make_movable(source)
        source.rename(place / name)


def _make_movable(path: Path) -> None:
    """Let its owner move a folder to another one: for that, it has to be writable itself (rename(2)).

    Some of Moat's own aren't, and a run can do the same to its home.
    """
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
        path.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)


def empty(folder: RunFolder) -> None:
    """Delete what the sandbox wrote there."""
    if folder.private.exists():  # a user, or a removal that was interrupted, may have deleted it
        empty_folder(folder.private)
