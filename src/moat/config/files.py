"""Files that were written by a user, or by a run in the user's workspace."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from moat.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def read_bounded(path: Path, limit: int) -> bytes:
    """Return a regular file's content, of at most `limit` bytes. Raises `UsageError` otherwise."""
    try:
        # O_NONBLOCK, because a run may have put a named pipe here to which nobody ever writes.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UsageError(f"{path} is not a file", "Put a file there, or nothing")
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(limit + 1)
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise UsageError(f"{path} can't be read: {exc.strerror}") from exc
    if len(content) > limit:
        raise UsageError(f"{path} is larger than {limit // 1024} KiB")
    return content
