"""Rules that the user saved with `--always`, for all later runs of the same workspace.

They lie in the store and not in the workspace, where a run could write them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.runs import json_file

if TYPE_CHECKING:
    from pathlib import Path

_FILE: Final = "policies.json"


def saved_rules(home: Path, workspace: str) -> tuple[str, ...]:
    """Return the rules of a workspace, newest first. Raises `StoreError`."""
    return tuple(json_file.read(home / _FILE).get(workspace, ()))


def all_saved_rules(home: Path) -> dict[str, list[str]]:
    """Return the rules of each workspace, newest first. Raises `StoreError`."""
    return json_file.read(home / _FILE)


def save_rule(home: Path, workspace: str, rule: str) -> None:
    """Put a rule before the others of its workspace. Raises `StoreError`."""
    with json_file.changing(home / _FILE, "the rules") as saved:
        saved[workspace] = [rule, *(each for each in saved.get(workspace, ()) if each != rule)]


def forget_rules(home: Path, workspace: str, rule: str | None = None) -> list[str]:
    """Delete one rule of a workspace, or all, and return those that were there. Raises `StoreError`."""
    with json_file.changing(home / _FILE, "the rules") as saved:
        rules = saved.pop(workspace, [])
        left = [] if rule is None else [each for each in rules if each != rule]
        if left:
            saved[workspace] = left
    return [each for each in rules if each not in left]
