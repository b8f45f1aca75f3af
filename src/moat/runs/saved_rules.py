"""Rules that the user saved with `--always`, for all later runs of the same workspace.

They lie in the store and not in the workspace, where a run could write them.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from moat.atomic import replace_file
from moat.errors import StoreError
from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_FILE: Final = "policies.json"


def saved_rules(home: Path, workspace: str) -> tuple[str, ...]:
    """Return the rules of a workspace, newest first. Raises `StoreError`."""
    return tuple(_read(home / _FILE).get(workspace, ()))


def all_saved_rules(home: Path) -> dict[str, list[str]]:
    """Return the rules of each workspace, newest first. Raises `StoreError`."""
    return _read(home / _FILE)


def save_rule(home: Path, workspace: str, rule: str) -> None:
    """Put a rule before the others of its workspace. Raises `StoreError`."""
    with _changing(home) as saved:
        saved[workspace] = [rule, *(each for each in saved.get(workspace, ()) if each != rule)]


def forget_rules(home: Path, workspace: str, rule: str | None = None) -> list[str]:
    """Delete one rule of a workspace, or all, and return those that were there. Raises `StoreError`."""
    with _changing(home) as saved:
        rules = saved.pop(workspace, [])
        left = [] if rule is None else [each for each in rules if each != rule]
        if left:
            saved[workspace] = left
    return [each for each in rules if each not in left]


@contextmanager
def _changing(home: Path) -> Generator[dict[str, list[str]]]:
    """Yield the rules of each workspace, and save them as the block leaves them; under a lock."""
    path = home / _FILE
    try:
        with lock.locked(home / "policies.lock"):
            saved = _read(path)
            yield saved
            replace_file(path, json.dumps(saved, indent=2).encode(), durable=True)
    except OSError as exc:
        raise StoreError(f"the rules can't be saved: {exc.strerror}", str(path)) from exc


def _read(path: Path) -> dict[str, list[str]]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise StoreError(f"{path} can't be read: {exc}", "Correct it, or remove it") from exc
