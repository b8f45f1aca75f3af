"""Files that are replaced as a whole: a reader finds the old content or the new, never half of one."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, data: bytes, *, durable: bool, mode: int = 0o600) -> None:
    """Make `data` the content of `path`, with a mode. Raises `OSError`; then nothing has changed.

    A `durable` file has reached the disk when this returns; another may be lost or empty after a crash
    of the machine, though not after the death of the process. Only one process may write a path at a
    time: until the new file takes its place it is `<path>.new`, where a killed writer may have left one.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        # O_EXCL follows no symbolic link that somebody puts there.
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(fd)
        new.replace(path)
    except BaseException:
        with suppress(OSError):  # the first failure is the one to report
            new.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Write the names in the folder to the disk: a file's own fsync(2) need not do that."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
