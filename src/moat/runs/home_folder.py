"""The store's folder, which belongs to its user alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from moat.errors import StoreError
from moat.runs.index import reported

if TYPE_CHECKING:
    from pathlib import Path


def own(home: Path) -> None:
    """Make the store's folder, or check that it belongs to us, and close it to others."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = home.stat()
    except OSError as exc:
        raise StoreError(
            f"the store {home} can't be made: {exc.strerror}", "Set MOAT_HOME to a folder of yours"
        ) from exc
    if status.st_uid != os.geteuid():
        raise StoreError(
            f"the store {home} belongs to another user (uid {status.st_uid})",
            "Set MOAT_HOME to a folder of yours",
        )
    if status.st_mode & 0o077:
        with reported(f"the store {home} can't be closed to others"):
            home.chmod(0o700)
