"""Mounts that the shim makes in a container, collected as descriptors.

The container engine makes none of these mounts: it would take paths, which a run of before may have
changed by the time they are resolved. A descriptor leads to what was looked at.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from moat.engines.under_shim.blank import blank
from moat.engines.under_shim.copies import COPIES, copies_folder, write_copy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePath

    from moat.workspace.beneath import PathHandle


class Mounts:
    """Mounts in the order in which they are made: parents before children.

    Implements `workspace.covers.Mounts`. `close` it after the shim has received all.
    """

    def __init__(self, private: Path) -> None:
        """Begin without mounts. The folder `private` is to hold the blank file and folder of `hide`."""
        self._private = private
        self._collected: list[tuple[dict[str, Any], int]] = []
        self._copies = 0

    def bind_handle(self, source: PathHandle, target: PurePath | str, *, writable: bool) -> None:
        """Mount what was opened; the caller may close it afterwards."""
        self._add(os.dup(source.descriptor), target, writable=writable, folder=source.is_folder)

    def bind(
        self, source: Path, target: PurePath | str, *, writable: bool = False, beside: str = ""
    ) -> None:
        """Mount a path that no run can write, if the container has what is `beside` the target."""
        descriptor = os.open(source, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._add(descriptor, target, writable=writable, folder=source.is_dir(), beside=beside)

    def hide(self, target: PurePath | str, *, is_folder: bool) -> None:
        """Mount an empty, read-only file or folder over the target."""
        self.bind(blank(self._private, is_folder=is_folder), target)

    def show_copy(self, content: str, target: PurePath) -> None:
        """Show a file of the run's own, by a link over the target, which must be mounted already."""
        folder = copies_folder(self._private)
        if not self._copies:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.bind(folder, COPIES, writable=True)
        link = folder / write_copy(self._private, self._copies, target.name, content)
        self._copies += 1
        descriptor = os.open(link, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._add(descriptor, target, writable=True, folder=False)

    def batches(self, size: int) -> Iterator[tuple[list[dict[str, Any]], list[int]]]:
        """Yield the mounts and their descriptors in pieces of at most `size`."""
        for start in range(0, len(self._collected), size):
            piece = self._collected[start : start + size]
            yield [mount for mount, _ in piece], [descriptor for _, descriptor in piece]

    def close(self) -> None:
        while self._collected:
            os.close(self._collected.pop()[1])

    def _add(
        self,
        descriptor: int,
        target: PurePath | str,
        *,
        writable: bool,
        folder: bool,
        beside: str = "",
    ) -> None:
        mount = {"target": str(target), "writable": writable, "folder": folder, "beside": beside}
        self._collected.append((mount, descriptor))
