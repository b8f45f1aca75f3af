"""A run that has ended, written as one file."""

from __future__ import annotations

import json
import os
import sqlite3
import zipfile
from dataclasses import asdict
from typing import TYPE_CHECKING, BinaryIO, Final

from moat.archive.checks import masked
from moat.archive.members import (
    AUDIT,
    CHANGES,
    CONTENTS,
    EVENTS,
    FACTS,
    FORMAT,
    SPEC,
    TRAFFIC,
    Facts,
    largest,
)
from moat.egress.traffic import portable
from moat.errors import MoatError
from moat.runs import imported
from moat.runs.event_reader import older
from moat.spec import codec
from moat.version import __version__
from moat.workspace.frozen_changes import freeze

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from moat.paths import RunFolder
    from moat.runs.store import Run, Store

_PIECE: Final = 1 << 20
_NO_DATE: Final = (1980, 1, 1, 0, 0, 0)
"""The same run makes the same file, whenever that is."""
_MODE: Final = 0o100600
_REGULAR: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def write(file: BinaryIO, store: Store, run: Run) -> bool:
    """Write an ended run; tell whether its specification had to be masked. Raises `MoatError`."""
    folder = store.folder(run.id)
    try:
        freeze(folder)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as archive:
            is_masked = _write(archive, store, run, folder)
    except (zipfile.LargeZipFile, RuntimeError) as exc:
        raise MoatError(
            f"run {run.name} is too large for one file: {exc}",
            "Export parts of it: moat export --cast, --har, or moat audit export",
        ) from exc
    except (OSError, sqlite3.Error) as exc:
        raise MoatError(f"run {run.name} can't be exported: {exc}") from exc
    return is_masked


def _write(archive: zipfile.ZipFile, store: Store, run: Run, folder: RunFolder) -> bool:
    spec = store.spec(run.id)
    shown = masked(spec)
    mark = imported.read(folder)
    is_masked = shown != spec or (mark is not None and mark.masked)
    facts = Facts(
        format=FORMAT,
        moat=__version__,
        id=run.id,
        name=run.name,
        state=str(run.state),
        exit_code=run.exit_code,
        error=run.error,
        started_at=run.started_at,
        stopped_at=run.stopped_at,
        masked=is_masked,
    )
    _add(archive, FACTS, [json.dumps(asdict(facts), indent=2).encode() + b"\n"])
    if shown == spec:
        _add_file(archive, SPEC, folder.spec)
    else:
        _add(archive, SPEC, [codec.dumps(shown).encode()])
    if folder.database.exists():
        _add(archive, TRAFFIC, portable.lines(folder.database))
    _add(archive, EVENTS, _events(folder))
    _add_file(archive, AUDIT, folder.audit)
    _add_file(archive, CHANGES, folder.changes)
    _add_file(archive, CONTENTS, folder.changed_contents)
    for place in (folder.journal, folder.sessions, folder.exits):
        for path in sorted(place.rglob("*")) if place.is_dir() else ():
            name = str(path.relative_to(folder.root))
            if largest(name) is not None:
                _add_file(archive, name, path)
    return is_masked


def _events(folder: RunFolder) -> Iterator[bytes]:
    for path in (older(folder.events), folder.events):
        if path.exists():
            yield from _whole_lines(path)


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file whose writer may have been killed over the last one."""
    with path.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))


def _add_file(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    """Add a file, if the run has it: journal and records are bounded."""
    try:
        fd = os.open(path, _REGULAR)
    except FileNotFoundError:
        return
    with os.fdopen(fd, "rb") as file:
        _add(archive, name, iter(lambda: file.read(_PIECE), b""))


def _add(archive: zipfile.ZipFile, name: str, pieces: Iterable[bytes]) -> None:
    member = zipfile.ZipInfo(name, _NO_DATE)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = _MODE << 16
    with archive.open(member, "w") as file:
        for piece in pieces:
            file.write(piece)
