"""Files of a run's own that it finds in the place of read-only ones.

A mount point can't be renamed over, and git replaces its configuration in that way. So what is mounted
is a symbolic link, and the file behind it lies in a folder that the run may write.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

COPIES: Final = PurePosixPath("/run/moat/copies")
"""The path of `copies_folder` in the sandbox."""


def copies_folder(private: Path) -> Path:
    return private / "copies"


def write_copy(private: Path, number: int, name: str, content: str) -> PurePosixPath:
    """Write a file and the link that leads to it; return the link's path below `copies_folder`."""
    place = PurePosixPath(str(number))
    folder = copies_folder(private) / place
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / name).write_text(content, encoding="utf-8", errors="surrogateescape", newline="")
    link = folder / "link"
    link.unlink(missing_ok=True)  # of a start that was interrupted
    link.symlink_to(COPIES / place / name)
    return place / link.name
