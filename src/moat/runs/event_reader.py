"""A run's events, read from the log that its supervisor writes (`runs.event_log`)."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class EventReader:
    """A reader that returns each event once, however often it is asked for more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None
        """The file that was read last, by its inode: the current one becomes the older one."""
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        """Return the events that were written since the last call, oldest first."""
        found: list[dict[str, Any]] = []
        with ExitStack() as stack:
            files = self._open(stack)
            known = self._inode in files
            for inode, file in files.items():
                if known and inode != self._inode:
                    continue  # it lies before what was read last
                known = False
                self._seek(inode, file)
                found += self._lines(file)
        return found

    def _open(self, stack: ExitStack) -> dict[int, BinaryIO]:
        """Return the files that exist, oldest first.

        The current one is opened first. If it becomes the older one just then, it is found twice,
        and its successor is read by the next call; the other way round it would be missed.
        """
        files: dict[int, BinaryIO] = {}
        for path in (self._path, older(self._path)):
            try:
                file = stack.enter_context(path.open("rb"))
            except FileNotFoundError:
                continue
            files[os.fstat(file.fileno()).st_ino] = file
        return dict(reversed(files.items()))

    def _seek(self, inode: int, file: BinaryIO) -> None:
        if inode != self._inode:
            self._inode, self._offset = inode, 0
        file.seek(self._offset)

    def _lines(self, file: BinaryIO) -> Iterator[dict[str, Any]]:
        whole = file.read().rpartition(b"\n")[0]
        if whole:
            self._offset += len(whole) + 1
            yield from map(json.loads, whole.split(b"\n"))


def older(path: Path) -> Path:
    """Return where the older half of a log lies."""
    return path.with_name(f"{path.name}.older")
