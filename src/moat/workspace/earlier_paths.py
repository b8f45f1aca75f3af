"""Paths that earlier starts found in a folder, which come first in later ones.

A start protects as many of the nearest paths as its bounds allow. A run can make any number that lie
nearer than the user's own, or so many folders that the search doesn't get as far. What was there before
that run is known from its own start, and the store keeps it, oldest first.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from moat import typed_json
from moat.atomic import replace_file
from moat.paths import moat_home

if TYPE_CHECKING:
    from pathlib import Path

    from moat.workspace.discovery import Discovery

_KINDS: Final = ("unentered", "git_folders", "gitfiles", "named")
"""The lists of a `Discovery` in which the order decides."""
# More than are protected, of each kind.
_MAX_KEPT: Final = 1_000

_Paths = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The file: a list for each of `_KINDS`."""

    unentered: list[str] = field(default_factory=list[str])
    git_folders: list[str] = field(default_factory=list[str])
    gitfiles: list[str] = field(default_factory=list[str])
    named: list[str] = field(default_factory=list[str])


def put_first(found: Discovery, root: Path, known_as: Path) -> None:
    """Put what earlier starts have found before the rest, also where this search did not get to it.

    `known_as` is the folder in which they found it: `root`, or that of which `root` is a copy.
    """
    file = moat_home() / "protected" / f"{sha256(os.fsencode(known_as)).hexdigest()[:16]}.json"
    earlier = _read(file)
    now: _Paths = {}
    for kind in _KINDS:
        paths: list[PurePosixPath] = getattr(found, kind)
        seen = set(map(str, paths))
        first = [
            each
            for each in earlier[kind]
            if each in seen or (not found.complete and _is_there(root, each, kind))
        ]
        now[kind] = [*dict.fromkeys([*first, *map(str, paths)])]
        setattr(found, kind, [*map(PurePosixPath, now[kind])])
    kept = {kind: paths[:_MAX_KEPT] for kind, paths in now.items()}
    if kept != earlier:
        _write(file, kept)


def _is_there(root: Path, text: str, kind: str) -> bool:
    """Return whether such a path is still there, with no symbolic link on the way to it."""
    place = root / text
    try:
        is_folder = place.is_dir() and not place.is_symlink()
        exists = os.path.lexists(place) and os.path.realpath(place.parent) == str(place.parent)
    except OSError:
        return False
    match kind:
        case "gitfiles":
            return exists and not is_folder
        case "named":
            return exists
        case _:
            return exists and is_folder


def _read(file: Path) -> _Paths:
    """Return what is kept; nothing where there is none, or it isn't readable."""
    try:
        return asdict(typed_json.read(_Kept, typed_json.parse(file.read_bytes())))
    except (OSError, ValueError):
        return asdict(_Kept())


def _write(file: Path, paths: _Paths) -> None:
    # Without it, the next start has the order that this one would have had.
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(file, json.dumps(paths).encode(), durable=False)
