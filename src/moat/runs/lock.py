"""Advisory locks (flock(2)) that say who may write a run, and whether its supervisor is alive.

A lock belongs to the open file description: a child process inherits it, and the kernel drops it with
its last holder, however that process died. So a lock is never stale, and there is nothing to clean up.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


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
def locked(path: Path) -> Generator[int]:
    """Wait for the lock and hold it; yield the descriptor, so that a child can inherit it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def wait_until_free(path: Path) -> None:
    """Wait until no process holds the lock. Raises `FileNotFoundError` where there is no lock file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


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
