"""The files of a folder in which processes are still at work."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield each file with its content, but for those that are removed meanwhile."""
    for place, _, names in os.walk(folder):  # which passes over folders that are removed
        for path in (Path(place, name) for name in names):
            with suppress(FileNotFoundError):
                if path.is_file():
                    yield path, path.read_bytes()


def holding(folder: Path, secret: str) -> list[Path]:
    """Return the files that hold a secret."""
    return [path for path, content in contents(folder) if secret.encode() in content]
