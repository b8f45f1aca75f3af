"""Rules that the user gave `--always`: for all later runs of the same workspace.

They lie in the store, not in the workspace, where a run could write them.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from moat.atomic import replace_file
from moat.errors import StoreError
from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_FILE = "policies.json"


def remembered_rules(home: Path, workspace: str) -> tuple[str, ...]:
    """Newest first. Raises `StoreError`."""
    return tuple(_read(home / _FILE).get(workspace, ()))


def all_remembered(home: Path) -> dict[str, list[str]]:
    """By workspace. Raises `StoreError`."""
    return _read(home / _FILE)


def remember_rule(home: Path, workspace: str, rule: str) -> None:
    """Puts it before the others. Raises `StoreError`."""
    with _changing(home) as known:
        known[workspace] = [rule, *(each for each in known.get(workspace, ()) if each != rule)]


def forget_rules(home: Path, workspace: str, rule: str | None = None) -> list[str]:
    """Of the workspace, this one or all; says which. Raises `StoreError`."""
    with _changing(home) as known:
        rules = known.pop(workspace, [])
        kept = [] if rule is None else [each for each in rules if each != rule]
        if kept:
            known[workspace] = kept
    return [each for each in rules if each not in kept]


@contextmanager
def _changing(home: Path) -> Generator[dict[str, list[str]]]:
    """What is remembered, to be changed, by one at a time: all of it is written, or nothing."""
    path = home / _FILE
    try:
        with lock.locked(home / "policies.lock"):
            known = _read(path)
            yield known
            replace_file(path, json.dumps(known, indent=2).encode(), durable=True)
    except OSError as exc:
        raise StoreError(f"rules can't be remembered: {exc.strerror}", str(path)) from exc


def _read(path: Path) -> dict[str, list[str]]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise StoreError(f"{path} can't be read: {exc}", "Correct it, or remove it") from exc
