"""Paths that aren't taken over from a copy like others: git's own, and those that programs obey."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace.discovery import is_git_folder, list_folder
from moat.workspace.git_layout import GIT
from moat.workspace.protected_paths import find_protected_paths, table_with

if TYPE_CHECKING:
    from moat.spec import RunSpec
    from moat.workspace.changes import Change

_REFERENCES: Final = tuple(f"{GIT}/{each}" for each in ("HEAD", "packed-refs"))
_BRANCHES: Final = tuple(f"{GIT}/refs/{each}/" for each in ("heads", "tags"))


class ObeyedPaths:
    """The paths that programs obey in the user's workspace, whether or not they exist there."""

    def __init__(self, spec: RunSpec) -> None:
        """Look for what is obeyed in the workspace as it is now."""
        self._table = table_with(spec.protected_paths)
        root = Path(os.path.realpath(spec.workspace))
        found = find_protected_paths(root, named=spec.trusted_files, rows=spec.protected_paths)
        named = (str(path).lower() for path in found.obeyed)
        self._obeyed = dict.fromkeys(named, _words("git", "is named by a configuration"))
        for path, obeyed in found.watched.items():
            self._obeyed[str(path).lower()] = _words(obeyed.program, obeyed.reason)

    def obeyed_by(self, change: Change) -> str:
        """Return who obeys a changed path, and why that matters; empty where nobody does."""
        path = change.path
        is_link = change.after is not None and stat.S_ISLNK(change.after.mode)
        rule = self._table.rule_over(path, is_link=is_link)
        if rule is not None:
            return _words(rule.program, rule.reason)
        # Upper and lower case make no difference in many a file system.
        lowered = path.lower()
        above = [lowered, *map(str, PurePosixPath(lowered).parents)]
        known = next((self._obeyed[each] for each in above if each in self._obeyed), "")
        if known or not (is_link or change.after is None):
            return known
        inner = f"{lowered}/"
        return next((why for each, why in self._obeyed.items() if each.startswith(inner)), "")


class GitPaths:
    """The paths in a copy that are git's own: they are fetched by git, and never put anywhere."""

    def __init__(self, copy: Path, workspace: Path) -> None:
        self._roots = (copy, workspace)
        self._known: dict[PurePosixPath, bool] = {}

    def has(self, path: str) -> bool:
        """Return whether a path is in a git folder, or is one, under whatever name."""
        pure = PurePosixPath(path)
        if GIT in path.lower().split("/"):
            return True
        return any(map(self._is_git_folder, pure.parents))

    def _is_git_folder(self, folder: PurePosixPath) -> bool:
        if folder not in self._known:
            # The one may lack what makes the other a git folder.
            names = {name for root in self._roots for name in _names(root / folder)}
            self._known[folder] = is_git_folder(names)
        return self._known[folder]


def _names(folder: Path) -> list[str]:
    try:
        folders, others = list_folder(str(folder))
    except OSError:
        return []  # it is gone, or a link to nowhere
    return [*folders, *others]


def _words(program: str, reason: str) -> str:
    return f"{program}: it {reason}"


def is_reference(path: str) -> bool:
    """Return whether a path says which commits the workspace's own repository has."""
    return path in _REFERENCES or path.startswith(_BRANCHES)
