"""Leavings of a run besides plain files and folders: lent permissions, pipes, sockets.

The search for repositories at the end passes every folder; this looks at the files on the way. Those
that have not changed since the start are the user's own.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace.beneath import SymbolicLinkError, open_beneath
from moat.workspace.discovery import PACKAGES, entries_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.workspace.beneath import PathHandle
    from moat.workspace.discovery import Listing

_LENDING: Final = stat.S_ISUID | stat.S_ISGID
_KINDS: Final = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# A hostile run can leave any number.
_MAX_NOTED: Final = 10_000


@dataclass(slots=True)
class FileModes:
    """The files below `root` with unusual modes that have changed after the time `since` (ns)."""

    root: str
    since: int
    lending: dict[str, str] = field(default_factory=dict[str, str])
    """Files that lend their owner's or group's rights to whoever starts them (setuid, setgid)."""
    writable: dict[str, str] = field(default_factory=dict[str, str])
    """Files and folders that everybody may write."""
    others: dict[str, str] = field(default_factory=dict[str, str])
    """Paths that are neither file, folder nor link, and what each is."""
    astray: dict[str, str] = field(default_factory=dict[str, str])
    """Links from elsewhere to folders in a `node_modules`, in which no protected path is named."""

    def list_folder(self, path: str) -> Listing:
        """List a folder (`discovery.list_folder`), and note what is unusual in it."""
        folders: list[str] = []
        others: list[str] = []
        for entry in entries_of(path):
            is_folder = entry.is_dir(follow_symlinks=False)
            (folders if is_folder else others).append(entry.name)
            self._note(entry)
        return folders, others

    def _note(self, entry: os.DirEntry[str]) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        if status.st_ctime_ns < self.since:
            return
        if stat.S_ISLNK(status.st_mode):
            self._note_link(entry.path)
            return
        mode = status.st_mode
        if stat.S_ISREG(mode):
            if mode & _LENDING:
                self._add(self.lending, entry.path)
        elif not stat.S_ISDIR(mode):
            self._add(self.others, entry.path, _KINDS[stat.S_IFMT(mode)])
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX and not stat.S_ISSOCK(mode):
            self._add(self.writable, entry.path)

    def _note_link(self, path: str) -> None:
        target = os.path.realpath(path)
        leads_there = target.startswith(f"{self.root}/") and PACKAGES in target[len(self.root) :]
        if leads_there and PACKAGES not in path[len(self.root) :] and os.path.isdir(target):  # noqa: PTH112  strings, for speed
            self._add(self.astray, path)

    def _add(self, paths: dict[str, str], path: str, what: str = "") -> None:
        if len(paths) < _MAX_NOTED:
            paths[os.path.relpath(path, self.root)] = what


def take_off_lending(root: PathHandle, path: str) -> Iterator[str]:
    """Take the setuid and setgid bits off a file; yield their names."""
    try:
        opened = open_beneath(root, PurePosixPath(path))
    except (FileNotFoundError, NotADirectoryError, SymbolicLinkError):
        return
    with opened as file:
        mode = os.fstat(file.descriptor).st_mode
        if stat.S_ISREG(mode) and mode & _LENDING:
            os.chmod(f"/proc/self/fd/{file.descriptor}", stat.S_IMODE(mode) & ~_LENDING)  # noqa: PTH101  O_PATH: no fchmod
            yield "setuid" if mode & stat.S_ISUID else "setgid"
