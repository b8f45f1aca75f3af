"""Unix sockets in a folder that a sandbox is to see, behind which a service of the host listens.

A network namespace knows nothing of sockets with a path: whoever sees the file may connect. A database,
an SSH agent or a container daemon that keeps its socket in a project would be a way out of the sandbox.
So each at which somebody listens when the run starts is hidden. One at which nobody does is left alone:
a program of an earlier run has left it, and the same program will want to put another in its place.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.errors import UsageError
from moat.workspace.beneath import PathHandle, SymbolicLinkError, open_beneath, open_folder
from moat.workspace.discovery import MAX_FOLDERS_BEFORE, discover, entries_of

if TYPE_CHECKING:
    from moat.workspace.discovery import Listing

MAX_LIVE: Final = 60
"""More than any project has; each is a mount."""
_MAX_FOUND: Final = 2_000
# A stream socket is told of its nature by these errors, and by a full backlog.
_SOMEBODY_LISTENS: Final = frozenset((errno.EPROTOTYPE, errno.EAGAIN, errno.EINPROGRESS))


def live_sockets(root: Path) -> tuple[PurePosixPath, ...]:
    """Search a folder for nothing but these sockets. Raises `UsageError`."""
    search = SocketSearch(root)
    discover(root, MAX_FOLDERS_BEFORE, enters_git=True, read=search.read)
    return search.live()


class SocketSearch:
    """The sockets in the folders that a search reads; `read` stands in for `discovery.list_folder`."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._found: list[PurePosixPath] = []

    def read(self, path: str) -> Listing:
        """List a folder, and note the sockets in it."""
        folders: list[str] = []
        others: list[str] = []
        for entry in entries_of(path):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
                continue
            others.append(entry.name)
            if not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
                self._found.append(PurePosixPath(os.path.relpath(entry.path, self._root)))
        return folders, others

    def live(self) -> tuple[PurePosixPath, ...]:
        """Return the paths of those at which somebody listens.

        Raises `UsageError` if they are too many to hide.
        """
        with open_folder(Path(self._root)) as top:
            live = tuple(path for path in self._found[:_MAX_FOUND] if listens(top, path))
        if len(live) > MAX_LIVE or len(self._found) > _MAX_FOUND:
            raise UsageError(
                f"{self._root} has too many unix sockets to hide: {len(self._found)}",
                "stop the services that listen there, or name their folder in `exclude`",
            )
        return live


def listens(top: PathHandle, path: PurePosixPath) -> bool:
    """Return whether somebody listens at a socket, which only an attempt to connect tells.

    The kernel has lists, but of one network namespace each, and a container's service has another.
    """
    try:
        with open_beneath(top, path) as file, socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            failure = client.connect_ex(f"/proc/self/fd/{file.descriptor}")
    except (FileNotFoundError, NotADirectoryError, SymbolicLinkError):
        return False  # gone meanwhile
    return failure == 0 or failure in _SOMEBODY_LISTENS
