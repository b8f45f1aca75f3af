"""The lock and the socket of a spare, of which there is one of each identity in a store.

Whoever holds the lock owns both files. A lock that nobody holds is of a spare that was killed; the next
spare that starts takes its files away.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

from moat.platform import sockets
from moat.runs import lock
from moat.wire import spare

if TYPE_CHECKING:
    from pathlib import Path

_LOCK: Final = ".lock"
_SOCKET: Final = ".sock"


class Claim:
    """The right to be the spare of an identity, for as long as this process lives."""

    def __init__(self, folder: Path, name: str, held: int) -> None:
        self.folder = folder
        self.socket = name + _SOCKET
        self._unnamed = f"{self.socket}.new"
        self._lock = folder / (name + _LOCK)
        self._held = held

    @classmethod
    def take(cls, home: Path, identity: str) -> Claim | None:
        """Return the claim; `None` where another spare has it. Raises `OSError`."""
        folder = home / spare.FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        name = spare.name_of(identity)
        held = _held(folder / (name + _LOCK))
        return None if held is None else cls(folder, name, held)

    def fileno(self) -> int:
        return self._held

    def remove_dead(self) -> None:
        """Remove the files of spares that were killed."""
        for path in self.folder.glob(f"*{_LOCK}"):
            if path != self._lock:
                held = _held(path)
                if held is not None:
                    Claim(self.folder, path.name.removesuffix(_LOCK), held).give_up()

    def listen(self) -> socket.socket:
        """Return the socket, which has its name only when clients can connect to it."""
        listener = sockets.listen(self.folder, self._unnamed, socket.SOCK_SEQPACKET)
        (self.folder / self._unnamed).rename(self.folder / self.socket)
        return listener

    def give_up(self) -> None:
        """Remove the files, and let another spare have them."""
        for name in (self._unnamed, self.socket):
            (self.folder / name).unlink(missing_ok=True)
        self._lock.unlink(missing_ok=True)
        os.close(self._held)


def is_taken(home: Path, identity: str) -> bool:
    """Return whether the store has a spare of this identity, which may still be loading."""
    return lock.is_locked(home / spare.FOLDER / (spare.name_of(identity) + _LOCK))


def _held(path: Path) -> int | None:
    held = lock.try_lock(path)
    # Its owner may have removed it between our opening it and our locking it.
    if held is not None and not os.fstat(held).st_nlink:
        os.close(held)
        return None
    return held
