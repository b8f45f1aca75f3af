"""A file that a command writes for its user, and that nobody else may read."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path


def write_new(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that is new, as `new_file` makes it."""
    with new_file(path) as file:
        file.writelines(pieces)


@contextmanager
def new_file(path: Path) -> Generator[BinaryIO]:
    """Make a file that is new; where that or writing it fails, none is left.

    Raises `UsageError` where it can't be made.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already", "Name another file, or remove it") from None
    except OSError as exc:
        raise UsageError(f"{path} can't be written: {exc.strerror}") from exc
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(fd)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
