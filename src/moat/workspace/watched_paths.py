"""Watched paths: those that a run changed, or left new, for programs on the host to obey.

Files are told apart by their metadata and not read. A run can't forge the time of the last change
(st_ctime, inode(7)), and a file that is replaced is another inode.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace.links import files_at
from moat.workspace.named_paths import named_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from moat.workspace.discovery import Discovery
    from moat.workspace.path_rules import PathTable

Watched = dict[str, list[str]]
"""By path: the program that obeys it, a fingerprint of what is there, and the reason to watch it, which
earlier versions of Moat didn't record."""

# More than anybody reads, and a bound on what a hostile run can make us look at.
_MAX_PATHS: Final = 10_000
# An earlier run can leave any number of files for the next start to look at: 20,000 take 50 ms.
_MAX_FILES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Obeyed:
    """A path that a program obeys."""

    program: str
    reason: str


def watch(root: Path, paths: Mapping[PurePosixPath, Obeyed]) -> tuple[Watched, bool]:
    """Take the fingerprints of paths; return them, and whether they are those of all the paths."""
    watched: Watched = {}
    remaining = _MAX_FILES
    for path, obeyed in paths.items():
        fingerprint, files = _fingerprint(root, path)
        remaining -= files
        if remaining < 0:
            return watched, False
        watched[str(path)] = [obeyed.program, fingerprint, obeyed.reason]
    return watched, True


def changes(
    root: Path,
    before: Watched,
    found: Discovery,
    since: int | None,
    table: PathTable,
    was_there: Callable[[str], bool | None],
) -> Iterator[tuple[PurePosixPath, Obeyed]]:
    """Yield the watched paths that are new or changed, and the program that obeys each.

    If not all paths were known before, `since` is the time (ns) when they were searched for: a path
    that wasn't known counts as new if it has changed after that, or wasn't there (`was_there` tells,
    as far as it knows).
    """
    for path, (program, fingerprint, *reason) in before.items():
        now = PurePosixPath(path)
        if os.path.lexists(root / now) and _fingerprint(root, now)[0] != fingerprint:
            yield now, Obeyed(program, "".join(reason))
    for path, rule in islice(named_paths(root, found.named, table), _MAX_PATHS):
        if str(path) in before or not os.path.lexists(root / path):
            continue
        if (
            since is None
            or _last_change(root, path) >= since
            or _has_come(root, path, since, was_there)
        ):
            yield path, Obeyed(rule.program, rule.reason)


def _fingerprint(root: Path, path: PurePosixPath) -> tuple[str, int]:
    """Return a text that changes with the path's files, or with the links that lead to them.

    The number is that of the files.
    """
    real = os.path.realpath(root / path)
    digest = sha256(os.fsencode(real))
    number = 1
    if PurePosixPath(real).is_relative_to(root):  # what lies elsewhere the run can't write
        for file in files_at(real):
            number += 1
            for status in _statuses(file):
                facts = (status.st_ino, status.st_ctime_ns, status.st_size, status.st_mode)
                digest.update(f"{file}\0{facts}\n".encode(errors="surrogateescape"))
    return digest.hexdigest(), number


def _last_change(root: Path, path: PurePosixPath) -> int:
    files = (str(root / path), *files_at(os.path.realpath(root / path)))
    return max((status.st_ctime_ns for file in files for status in _statuses(file)), default=0)


def _has_come(
    root: Path, path: PurePosixPath, since: int, was_there: Callable[[str], bool | None]
) -> bool:
    """Return whether an older path has come here with a folder that was moved.

    A move changes no time but the folder's own. Where nobody knows what was there, a folder that has
    changed in any way may have been moved.
    """
    known = was_there(str(path))
    if known is not None:
        return not known
    above = (root / each for each in path.parents if each.parts)
    return any(each.lstat().st_ctime_ns >= since for each in above)


def _statuses(file: str) -> Iterator[os.stat_result]:
    """Yield the status of a file and, of a symbolic link, of what it leads to."""
    try:
        status = os.lstat(file)
        yield status
        if os.path.islink(file):  # noqa: PTH114  strings, for speed
            yield os.stat(file)  # noqa: PTH116  strings, for speed
    except OSError:
        return
