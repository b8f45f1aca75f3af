"""Unix sockets in a folder whose path may be of any length, and descriptors passed over them.

`sun_path` holds 107 bytes (unix(7)), too few for a store below a deep home folder. So for a longer
path the folder is opened, and the socket is named `/proc/self/fd/N/NAME`.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

SUN_PATH_MAX = 107


def connect(
    folder: Path,
    name: str,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    *,
    within: float | None = None,
) -> socket.socket:
    """Connect to the socket `name`; raises `FileNotFoundError` or `ConnectionRefusedError`.

    With `within`, raise `BlockingIOError` where a listener with a full backlog accepts nobody in so many
    seconds. The same then holds for each call that sends: unix(7) has SO_SNDTIMEO for both.
    """
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        if within is not None:
            seconds, rest = divmod(within, 1)
            timeout = struct.pack("@ll", int(seconds), int(rest * 1_000_000))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        with _address(folder, name) as address:
            sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def listen(
    folder: Path, name: str, kind: socket.SocketKind = socket.SOCK_STREAM, *, backlog: int = 128
) -> socket.socket:
    """Listen on the socket `name`, 0600 from its first moment, and replace a dead listener's.

    The caller holds a lock that keeps others from doing the same.
    """
    (folder / name).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        with _address(folder, name) as address:
            # Linux gives the file the mode of the socket, which unix(7) doesn't mention. A umask would
            # do too, but it applies to the whole process, and other threads may be creating files.
            os.fchmod(sock.fileno(), 0o600)
            sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def peer(sock: socket.socket) -> tuple[int, int]:
    """Return (pid, uid) of the process that connected, as the kernel recorded them.

    See SO_PEERCRED in unix(7).
    """
    pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def receive(sock: socket.socket, size: int, descriptors: int) -> tuple[bytes, list[int]]:
    """Receive data and up to `descriptors` descriptors, which aren't inheritable.

    The caller closes them. `socket.recv_fds` ignores its `flags` (CPython 3.11), and without
    MSG_CMSG_CLOEXEC the next process to be started would inherit what was passed.
    """
    fds = array.array("i")
    data, ancillary, _, _ = sock.recvmsg(
        size, socket.CMSG_LEN(descriptors * fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)


@contextmanager
def _address(folder: Path, name: str) -> Generator[str]:
    plain = str(folder / name)
    if len(os.fsencode(plain)) <= SUN_PATH_MAX:
        yield plain
        return
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)
