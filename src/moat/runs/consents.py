"""The user's agreements, by the folder of the project.

It lies in the store and not in the project, where a run could write it. A project has an agreement for
each state of its file that the user has agreed to, because branches of a repository may need different
ones. Agreements are never added up: two harmless ones may be harmful together.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from moat import timestamps, typed_json
from moat.runs import json_file
from moat.runs.agreement import Agreement, Line

if TYPE_CHECKING:
    from pathlib import Path

_FILE: Final = "consents.json"
LIMIT: Final = 16
"""Agreements of a folder that are kept, the newest ones."""


def agreements(home: Path, folder: Path) -> list[Agreement]:
    """Return the agreements about a folder, newest first. Raises `StoreError`."""
    path = home / _FILE
    return _parsed(path, json_file.read(path).get(str(folder), []))


def all_agreements(home: Path) -> dict[str, list[Agreement]]:
    """Return the agreements about each folder, newest first. Raises `StoreError`."""
    path = home / _FILE
    return {folder: _parsed(path, known) for folder, known in json_file.read(path).items()}


def agree(home: Path, folder: Path, lines: tuple[Line, ...]) -> None:
    """Note that the user agrees to all lines together. Raises `StoreError`."""
    now = timestamps.now(milliseconds=False)
    with json_file.changing(home / _FILE, "the agreement") as saved:
        others = [each for each in agreements(home, folder) if each.lines != lines]
        newest = [Agreement(now, lines), *others][:LIMIT]
        saved[str(folder)] = [asdict(each) for each in newest]


def forget(home: Path, folder: Path) -> bool:
    """Forget all agreements about a folder, and tell whether there were any. Raises `StoreError`."""
    with json_file.changing(home / _FILE, "the agreements") as saved:
        return saved.pop(str(folder), None) is not None


def _parsed(path: Path, known: Any) -> list[Agreement]:
    try:
        return [typed_json.read(Agreement, each) for each in known]
    except (TypeError, ValueError) as exc:
        raise json_file.unreadable(path, exc) from exc
