"""The paths behind `--` that limit which changes of a run a command is about. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moat.workspace.changes import Change


def is_chosen(path: str, limits: tuple[str, ...]) -> bool:
    """Return whether a path is one of the limits or lies below one; without limits all are chosen."""
    return not limits or any(is_below(path, limit) or limit in {".", ""} for limit in limits)


def is_listed(change: Change, limits: tuple[str, ...]) -> bool:
    """Return whether a change counts by itself, and not only in the sum of a folder that tools fill."""
    folder = change.generated
    return folder is None or any(is_below(limit.rstrip("/"), folder) for limit in limits)


def is_below(path: str, folder: str) -> bool:
    folder = folder.removeprefix("./").rstrip("/")
    return path == folder or path.startswith(f"{folder}/")
