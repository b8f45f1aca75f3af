"""A run's workspace as it was at the start."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from moat.workspace.content_store import load
from moat.workspace.manifest import INODE

if TYPE_CHECKING:
    from moat.paths import RunFolder
    from moat.workspace.manifest import Manifest


class AtStart:
    """The manifest that the recorder made; it is read when the first question is asked."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run

    def had(self, root: str, path: str) -> bool | None:
        """Return whether what is at a path was there at the start; `None` if that isn't known."""
        manifest = self._manifest
        if manifest is None or manifest.root != root or not manifest.complete:
            return None
        parent, _, name = path.rpartition("/")
        folder = manifest.folders.get(parent)
        entry = None if folder is None else folder.entries.get(name)
        try:
            return entry is not None and os.lstat(f"{root}/{path}").st_ino == entry[INODE]
        except OSError:
            return None

    @cached_property
    def _manifest(self) -> Manifest | None:
        return load(self._run.start_manifest)
