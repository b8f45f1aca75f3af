"""The digest of all files of a workspace, so that a statement can name its state. Pure.

It is the SHA-256 of a line for each file and symbolic link, in the order of their paths as bytes: the
mode as git has it, a space, the SHA-256 of the content in hexadecimal (of a link: of its target), two
spaces, the path, a newline. Of a file that was not read, `-` and the size in decimal stand for that.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from moat.workspace.changes import Tree
from moat.workspace.manifest import MODE, SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.workspace.changes import Change, Side
    from moat.workspace.manifest import Manifest


class _File(NamedTuple):
    mode: int
    content: str


class TreeFiles:
    """The files of a workspace by their paths."""

    def __init__(self, manifest: Manifest) -> None:
        self._files: dict[bytes, _File] = {}
        for path, folder in manifest.folders.items():
            for name, status in folder.entries.items():
                known = folder.contents.get(name)
                self._add(
                    f"{path}/{name}" if path else name,
                    status[MODE],
                    status[SIZE],
                    None if known is None else known[0].hex(),
                    folder.targets.get(name),
                )

    def apply(self, changes: Iterable[Change]) -> None:
        """Make these the files behind the changes."""
        for change in changes:
            self._files.pop(os.fsencode(change.path), None)
            side: Side | None = change.after
            if side is not None:
                self._add(change.path, side.mode, side.size, side.digest, side.target)

    def tree(self) -> Tree:
        """Return the digest, and what it is about."""
        digest = hashlib.sha256()
        unread = 0
        for path, (mode, content) in sorted(self._files.items()):
            unread += content.startswith("-")
            digest.update(b"%06o %b  %b\n" % (mode, content.encode(), path))
        return Tree(digest.hexdigest(), len(self._files), unread)

    def _add(self, path: str, mode: int, size: int, digest: str | None, target: str | None) -> None:
        if stat.S_ISLNK(mode):
            content = hashlib.sha256(os.fsencode(target or "")).hexdigest()
            self._files[os.fsencode(path)] = _File(0o120000, content)
        elif stat.S_ISREG(mode):
            kind = 0o100755 if mode & stat.S_IXUSR else 0o100644
            self._files[os.fsencode(path)] = _File(kind, digest or f"-{size}")
