"""Rules that the user gave `--always`: for all later runs of the same workspace.

They lie in the store, not in the workspace, where a run could write them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from moat.errors import StoreError
from moat.runs import lock

if TYPE_CHECKING:
    from pathlib import Path

_FILE = "policies.json"


def remembered_rules(home: Path, workspace: str) -> tuple[str, ...]:
    """Newest first. Raises `StoreError`."""
    return tuple(_read(home / _FILE).get(workspace, ()))


def remember_rule(home: Path, workspace: str, rule: str) -> None:
    """Puts it before the others. Raises `StoreError`."""
    path = home / _FILE
    try:
        with lock.locked(home / "policies.lock"):
            known = _read(path)
            rules = [rule, *(each for each in known.get(workspace, ()) if each != rule)]
            new = path.with_suffix(".new")
            new.write_text(json.dumps(known | {workspace: rules}, indent=2))
            new.chmod(0o600)
            new.replace(path)
    except OSError as exc:
        raise StoreError(f"the rule can't be remembered: {exc.strerror}", str(path)) from exc


def _read(path: Path) -> dict[str, list[str]]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise StoreError(f"{path} can't be read: {exc}", "Correct it, or remove it") from exc
