"""Advisory locks (flock(2)) that say who may write a run, and whether its supervisor is alive.

A lock belongs to the open file description: a child process inherits it, and the kernel drops it with
its last holder, however that process died. So a lock is never stale, and there is nothing to clean up.
"""

from __future__ import annotations

import fcntl
import os
import select
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_RETRY_S: Final = 0.05


def try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock, or `None` where another process holds it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextmanager
def locked(path: Path, within: float | None = None) -> Generator[int]:
    """Wait for the lock and hold it; yield the descriptor, so that a child can inherit it.

    Raise `TimeoutError` where it isn't free `within` so many seconds.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(fd, fcntl.LOCK_EX, within)
        yield fd
    finally:
        os.close(fd)


def wait_until_free(path: Path, within: float | None = None) -> None:
    """Wait until no process holds the lock.

    Raise `FileNotFoundError` where there is no lock file, and `TimeoutError` as `locked` does.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock(fd, fcntl.LOCK_SH, within)
    finally:
        os.close(fd)


def _lock(fd: int, kind: int, within: float | None) -> None:
    if within is None:
        fcntl.flock(fd, kind)
        return
    deadline = time.monotonic() + within
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError from None
            # flock(2) has no deadline of its own but a signal, and signals are the main thread's.
            select.select([], [], [], min(left, _RETRY_S))
        else:
            return


def holder(path: Path) -> int | None:
    """Return the process that holds the lock, as far as the kernel tells us (proc_locks(5)).

    It is the process that took it; who has inherited it isn't told.
    """
    try:
        inode = path.stat().st_ino
        with open("/proc/locks", encoding="ascii") as file:  # noqa: PTH123  a file of the kernel's
            lines = file.readlines()
    except FileNotFoundError:
        return None
    for line in lines:
        # "1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF". The device of some file systems is another
        # than stat(2) tells, so the process is asked whether it has the file open.
        words = line.split()
        if words[1] == "FLOCK" and words[5].endswith(f":{inode}") and _has_open(words[4], path):
            return int(words[4])
    return None


def _has_open(pid: str, path: Path) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        opened = os.listdir(folder)  # noqa: PTH208  as above
    except OSError:
        return False  # it is gone, or another user's
    wanted = os.path.realpath(path)
    for fd in opened:
        with suppress(OSError):  # closed meanwhile
            if os.readlink(f"{folder}/{fd}") == wanted:  # noqa: PTH115  as above
                return True
    return False


def is_locked(path: Path) -> bool:
    """Tell whether a process holds the lock now. A lock without a file isn't held."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
