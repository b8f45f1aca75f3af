"""The paths of the table (`path_rules.PROJECT`) that exist in a folder."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from moat.workspace.discovery import FIRST_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moat.workspace.path_rules import PathRule


def named_paths(
    root: Path, first: Iterable[PurePosixPath]
) -> Iterator[tuple[PurePosixPath, PathRule]]:
    """Yield the paths below `root` that are in the table, each with its rule.

    `first` are the paths that a `Discovery` has found by the first name of a rule.
    """
    for path in first:
        for rule in FIRST_NAMES.rules(path.name):
            rest = PurePosixPath(rule.path).parts[1:]
            for match in _matches(root, path.joinpath(*rest)) if rest else (path,):
                yield match, rule


def _matches(root: Path, pattern: PurePosixPath) -> Iterator[PurePosixPath]:
    if "*" not in pattern.name:
        if os.path.lexists(root / pattern):
            yield pattern
        return
    try:
        names = os.listdir(root / pattern.parent)  # noqa: PTH208  only names are needed
    except OSError:
        return
    for name in sorted(names):
        if fnmatchcase(name, pattern.name):
            yield pattern.with_name(name)
