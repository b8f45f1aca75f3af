"""The queue for witnesses: a mark in the store for each run whose audit log they have not all of.

Nothing else is queued. A witness wants the newest checkpoint alone, and that is in the log. The process
that submits it holds the mark locked (flock(2)).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from moat.runs.index import reported

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER: Final = "unwitnessed"


def mark_path(home: Path, run_id: str) -> Path:
    return home / _FOLDER / run_id


def mark(home: Path, run_id: str) -> None:
    """Queue a run. Raises `StoreError`."""
    path = mark_path(home, run_id)
    with reported(f"run {run_id} can't be queued for witnesses"):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)


def queued(home: Path) -> list[str]:
    """Return the ids of queued runs, those first whose turn is the longest ago. Raises `OSError`."""
    try:
        with os.scandir(home / _FOLDER) as marks:
            times = sorted((each.stat().st_mtime, each.name) for each in marks)
    except FileNotFoundError:
        return []
    return [name for _, name in times]
