"""A run made of a file that may be a stranger's.

All of it is checked and written into a folder to which no row leads. The row comes last, or the folder
goes. What the run says of its machine (folders, programs, grants) is kept to be read, and nothing here
obeys it: such a run has ended, and `runs.imported` marks it.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from moat import timestamps
from moat.archive import checks
from moat.archive.members import (
    AUDIT,
    CHANGES,
    CONTENTS,
    EVENTS,
    FACTS,
    SPEC,
    TRAFFIC,
)
from moat.archive.zip_file import ZipReader
from moat.egress.traffic import portable
from moat.errors import StoreError, UsageError
from moat.runs import imported
from moat.runs.disk import Measure
from moat.runs.imported import Imported
from moat.workspace import changes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from moat.archive.members import Facts
    from moat.paths import RunFolder
    from moat.runs.store import Run, Store
    from moat.spec import RunSpec

_LONGEST_REASON: Final = 300
_LONGEST_EVENT: Final = 2 << 20
_LONGEST_ENTRY: Final = 16 << 20
_STREAM: Final = re.compile(r".*\.(?:stdout|stderr)")


def import_run(store: Store, path: Path, name: str | None = None) -> Run:
    """Make a run of an exported one, under another `name` if one is given.

    Raises `UsageError` where the file isn't what `moat export` writes, and `NameTakenError` or
    `StoreError` where the store has the run already or can't be written. Nothing is left of it then.
    """
    try:
        with ZipReader(path) as archive:
            spec = checks.spec_of(archive.read(SPEC))
            facts = checks.facts_of(archive.read(FACTS))
            if facts.id != spec.id:
                raise ValueError("its specification is that of another run")
            _refuse_known(store, spec)
            spec = replace(spec, name=name or facts.name)
            with store.begin(spec) as folder:
                mark = _marked(facts)
                _write(archive, folder, mark)
                use = Measure().run(folder)
                sizes = {f"{part}_bytes": size for part, size in use._asdict().items()}
                store.insert(spec, **mark.columns, **sizes)
    except ValueError as exc:
        why = str(exc)[:_LONGEST_REASON]  # some quote what they don't like
        raise UsageError(f"{path} can't be imported: {why}", "Make one: moat export RUN") from exc
    except OSError as exc:
        raise StoreError(f"{path} can't be imported: {exc.strerror or exc}") from exc
    return store.get(spec.id)


def _refuse_known(store: Store, spec: RunSpec) -> None:
    if store.folder(spec.id).root.exists() or spec.id in store.ids():
        raise StoreError(
            f"the run {spec.id} is in the store already", f"Remove it first: moat destroy {spec.id}"
        )


def _marked(facts: Facts) -> Imported:
    return Imported(
        imported_at=timestamps.now(),
        state=facts.state,
        exit_code=facts.exit_code,
        error=facts.error,
        started_at=facts.started_at,
        stopped_at=facts.stopped_at,
        masked=facts.masked,
    )


def _write(archive: ZipReader, folder: RunFolder, mark: Imported) -> None:
    """Write all files of the run, each checked."""
    imported.write(folder, mark)
    _save(folder.spec, archive.pieces(SPEC))
    if TRAFFIC in archive:
        portable.write(folder.database, archive.lines(TRAFFIC, portable.LONGEST_LINE))
        folder.database.chmod(0o600)
    if EVENTS in archive:
        _save(folder.events, map(checks.event, archive.lines(EVENTS, _LONGEST_EVENT)))
    if AUDIT in archive:
        # Its verifier is made for logs that somebody has changed; only its lines must be bounded.
        _save(folder.audit, archive.lines(AUDIT, _LONGEST_ENTRY))
    if CHANGES in archive:
        _write_changes(archive, folder)
    resizes = 0
    for name in archive.names:
        place, _, rest = name.partition("/")
        if rest:
            resizes += _write_part(archive, folder.root / place / rest, name)
    if resizes > checks.MOST_RESIZES:
        raise ValueError("the size of its terminal changes too often")


def _write_changes(archive: ZipReader, folder: RunFolder) -> None:
    size = archive.size(CONTENTS) if CONTENTS in archive else 0
    found = checks.changes_of(archive.read(CHANGES), size)
    _save(folder.changes, [changes.dumps(found)])
    _save(folder.changed_contents, archive.pieces(CONTENTS) if size else ())


def _write_part(archive: ZipReader, path: Path, name: str) -> int:
    """Write a file of a session; return how often the terminal's size changes in it."""
    # The folder's name has been matched, and its parent is ours: neither can be a link.
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if _STREAM.fullmatch(name):
        _save(path, archive.pieces(name))
        return 0
    data = archive.read(name)
    if name.startswith("journal/"):
        _, resizes = checks.journal_index(data)
        _save(path, [data])
        return resizes
    check = checks.exit_status if name.startswith("exit/") else checks.session_record
    _save(path, [check(data)])
    return 0


def _save(path: Path, pieces: Iterable[bytes]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.writelines(pieces)
