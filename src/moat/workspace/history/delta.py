"""The difference between the manifest of a start and a later one. Pure.

Most folders are as they were at the start, so a snapshot of a large workspace takes little room. It
depends on no other snapshot: each can be removed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moat.workspace.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Delta:
    """A later manifest, without the folders that are as they were at the start."""

    changed: Manifest
    gone: list[str] = field(default_factory=list[str])
    """Folders of the start that aren't there any more."""


def delta(start: Manifest, later: Manifest) -> Delta:
    """Return the difference; `applied` to the same start it is the later manifest again."""
    changed = {
        path: folder for path, folder in later.folders.items() if start.folders.get(path) != folder
    }
    gone = [path for path in start.folders if path not in later.folders]
    return Delta(replace(later, folders=changed), gone)


def applied(start: Manifest, difference: Delta) -> Manifest:
    """Return the later manifest."""
    gone = set(difference.gone)
    folders = {path: folder for path, folder in start.folders.items() if path not in gone}
    folders |= difference.changed.folders
    return replace(difference.changed, folders=folders)
