"""Empty files and folders, which are shown in the place of what a run isn't to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def blank(private: Path, *, is_folder: bool) -> Path:
    """Return an empty file or folder in `private` that nobody may write; it is made at its first use."""
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_folder:
        path = private / "blank-folder"
        path.mkdir(mode=0o555, exist_ok=True)
    else:
        path = private / "blank-file"
        path.touch(mode=0o444)
    return path
