"""The paths of a table of rules that exist in a folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from moat.workspace.path_rules import NamePattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moat.workspace.path_rules import PathRule, PathTable


def named_paths(
    root: Path, first: Iterable[PurePosixPath], table: PathTable
) -> Iterator[tuple[PurePosixPath, PathRule]]:
    """Yield the paths below `root` that are in the table, each with its rule.

    `first` are the paths that a `Discovery` has found by the first name of a rule.
    """
    for path in first:
        for rule in table.rules(path.name):
            for match in _matches(root, path, PurePosixPath(rule.path).parts[1:]):
                yield match, rule


def _matches(root: Path, path: PurePosixPath, rest: tuple[str, ...]) -> Iterator[PurePosixPath]:
    """Yield the paths that exist below `path` by the names and patterns in `rest`."""
    plain = next((i for i, name in enumerate(rest) if "*" in name), len(rest))
    here = path.joinpath(*rest[:plain])
    if plain == len(rest):
        if not rest or os.path.lexists(root / here):
            yield here
        return
    pattern = NamePattern(rest[plain])
    for name in _names(root / here):
        if pattern.matches(name.lower()):
            yield from _matches(root, here / name, rest[plain + 1 :])


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  only names are needed
    except OSError:
        return []
