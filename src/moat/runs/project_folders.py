"""Folders of the store that last from run to run, for each project.

    $MOAT_HOME/KIND/KEY/project     the path of the project
    $MOAT_HOME/KIND/KEY/NAME/...    a folder that runs mount and write

KEY is made from the project's path. Everything below NAME was written by runs, whose commands may be
hostile: nothing on the host executes, imports or believes it, and nobody follows a link in there.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.runs.rmtree import empty_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROJECT: Final = "project"


class ProjectFolder(NamedTuple):
    """A folder that runs of one project have."""

    project: str
    name: str
    path: Path


def place(home: Path, kind: str, project: str, name: str) -> Path:
    """Return the path of a folder, which need not exist."""
    key = hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
    return home / kind / key / name


def prepare(folder: Path, project: str) -> None:
    """Make the folder that `place` has returned."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = folder.parent / _PROJECT
    if not note.exists():
        new = note.with_name(f"{_PROJECT}.{os.urandom(6).hex()}")  # another run may do the same
        new.write_bytes(os.fsencode(project))
        new.rename(note)


def folders(home: Path, kind: str) -> Iterator[ProjectFolder]:
    """Yield all folders of a kind, those of one project beside each other."""
    for around in _folders_in(home / kind):
        with suppress(FileNotFoundError):  # it is being made, or being removed
            project = os.fsdecode((around / _PROJECT).read_bytes())
            for each in _folders_in(around):
                yield ProjectFolder(project, each.name, each)


def remove(folder: Path) -> None:
    """Delete a folder, with what is around it if it was the project's last. Raises `OSError`."""
    empty_folder(folder)
    folder.rmdir()
    around = folder.parent
    if not _folders_in(around):
        empty_folder(around)
        around.rmdir()


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
