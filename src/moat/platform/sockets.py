"""Unix sockets in a run's folder, whatever the length of its path.

`sun_path` holds 107 bytes; a store below a deep home does not fit. On Linux the folder is opened
and the socket is named through `/proc/self/fd/N/`, which always does.
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


def connect(folder: Path, name: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """Raises `FileNotFoundError` or `ConnectionRefusedError` where nobody listens."""
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        with _address(folder, name) as address:
            sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def listen(
    folder: Path, name: str, kind: socket.SocketKind = socket.SOCK_STREAM, *, backlog: int = 128
) -> socket.socket:
    """Takes the name over from a dead listener. The caller holds the lock that makes this safe."""
    (folder / name).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        with _address(folder, name) as address:
            # Linux gives the name the mode of the socket (unix(7) is silent). A umask would do, too,
            # but it is the whole process's, and others may be making files.
            os.fchmod(sock.fileno(), 0o600)
            sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def peer(sock: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the process at the other end, as the kernel knows it (SO_PEERCRED, unix(7))."""
    pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def receive(sock: socket.socket, size: int, descriptors: int) -> tuple[bytes, list[int]]:
    """Data and the descriptors beside it, which are not inheritable and the caller's to close.

    `socket.recv_fds` drops its `flags` (CPython 3.11), and without MSG_CMSG_CLOEXEC the next process
    that is started would inherit what was passed.
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
