"""Watched paths: those that a run changed, or left new, for programs on the host to obey.

Files are told apart by their metadata and not read. A run can't forge the time of the last change
(st_ctime, inode(7)), and a file that is replaced is another inode.
"""

from __future__ import annotations

import os
from hashlib import sha256
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace.links import files_at
from moat.workspace.named_paths import named_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from moat.workspace.discovery import Discovery

Watched = dict[str, list[str]]
"""By path: the program that obeys it, and a fingerprint of what is there."""

# More than anybody reads, and a bound on what a hostile run can make us look at.
_MAX_PATHS: Final = 10_000


def watch(root: Path, paths: Mapping[PurePosixPath, str]) -> Watched:
    """Take the fingerprints of paths, given the program that obeys each."""
    return {str(path): [program, _fingerprint(root, path)] for path, program in paths.items()}


def changes(
    root: Path, before: Watched, found: Discovery, since: int | None
) -> Iterator[tuple[PurePosixPath, str]]:
    """Yield the watched paths that are new or changed, and the program that obeys each.

    If not all paths were known before, `since` is the time (ns) when they were searched for: a path
    that wasn't known counts as new only if it has changed after that.
    """
    for path, (program, fingerprint) in before.items():
        now = PurePosixPath(path)
        if os.path.lexists(root / now) and _fingerprint(root, now) != fingerprint:
            yield now, program
    for path, rule in islice(named_paths(root, found.named), _MAX_PATHS):
        if str(path) in before or not os.path.lexists(root / path):
            continue
        if since is None or _last_change(root, path) >= since:
            yield path, rule.program


def _fingerprint(root: Path, path: PurePosixPath) -> str:
    """Return a text that changes with the path's files, or with the links that lead to them."""
    real = os.path.realpath(root / path)
    digest = sha256(os.fsencode(real))
    if PurePosixPath(real).is_relative_to(root):  # what lies elsewhere the run can't write
        for file in files_at(real):
            for status in _statuses(file):
                facts = (status.st_ino, status.st_ctime_ns, status.st_size, status.st_mode)
                digest.update(f"{file}\0{facts}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _last_change(root: Path, path: PurePosixPath) -> int:
    files = (str(root / path), *files_at(os.path.realpath(root / path)))
    return max((status.st_ctime_ns for file in files for status in _statuses(file)), default=0)


def _statuses(file: str) -> Iterator[os.stat_result]:
    """Yield the status of a file and, of a symbolic link, of what it leads to."""
    try:
        status = os.lstat(file)
        yield status
        if os.path.islink(file):  # noqa: PTH114  strings, for speed
            yield os.stat(file)  # noqa: PTH116  strings, for speed
    except OSError:
        return
