"""Small JSON files of the store, each an object, which one process at a time changes as a whole."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from moat import typed_json
from moat.atomic import replace_file
from moat.errors import StoreError
from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


def read(path: Path) -> dict[str, Any]:
    """Return the object in a file, an empty one where there is no file. Raises `StoreError`."""
    try:
        return typed_json.object_of(typed_json.parse(path.read_bytes()), "the file")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise unreadable(path, exc) from exc


@contextmanager
def changing(path: Path, what: str) -> Generator[dict[str, Any]]:
    """Yield the object in a file, and save it as the block leaves it; under a lock.

    Raises `StoreError`, which begins with `what`: "the rules".
    """
    try:
        with lock.locked(path.with_suffix(".lock")):
            content = read(path)
            yield content
            replace_file(path, json.dumps(content, indent=2).encode(), durable=True)
    except OSError as exc:
        raise StoreError(f"{what} can't be saved: {exc.strerror}", str(path)) from exc


def unreadable(path: Path, exc: Exception) -> StoreError:
    """Return the error for a file whose content can't be used."""
    return StoreError(f"{path} can't be read: {exc}", "Correct it, or remove it")
