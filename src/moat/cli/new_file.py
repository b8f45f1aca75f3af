"""A file that a command writes for its user, and that nobody else may read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write_new(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that is new; where that fails half-way, none is left.

    Raises `UsageError` where it can't be made, and what making the pieces or writing them raises.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already", "Name another file, or remove it") from None
    except OSError as exc:
        raise UsageError(f"{path} can't be written: {exc.strerror}") from exc
    try:
        with os.fdopen(fd, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(fd)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
