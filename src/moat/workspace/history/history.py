"""The snapshots of one run, in its folder, where no run writes.

Only who holds the recorder's lock (`RunFolder.recorder_lock`) changes anything here. A reader finds each
record whole, for it is replaced as a whole; its blobs are written before it, and removed after it.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from moat.atomic import replace_file
from moat.errors import MoatError, StoreError, UsageError
from moat.runs import lock
from moat.workspace.content_store import load
from moat.workspace.contents import Pack, open_pack
from moat.workspace.history import blobs, record
from moat.workspace.history.blobs import BLOB, SEEN
from moat.workspace.history.delta import applied
from moat.workspace.history.record import Head
from moat.workspace.history.reference import Fixed
from moat.workspace.manifest import Sections

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from moat.paths import RunFolder
    from moat.workspace.history.record import Record
    from moat.workspace.history.reference import State
    from moat.workspace.manifest import Content, Manifest

_SUFFIX: Final = ".snapshot"
_BEGINNING: Final = 4096
"""Bytes of a record that are read for its head; most heads end there."""


class HistoryContents:
    """The contents of the start and of all snapshots of a run. Implements `contents.ContentReader`."""

    def __init__(self, start: Pack, folder: Path) -> None:
        self._start = start
        self._folder = folder

    def read(self, content: Content) -> bytes | None:
        """Return a content, or `None` if it isn't kept. Raises `ValueError` where it is damaged."""
        digest, offset, _ = content
        if offset == SEEN:
            return b""  # nothing but a plan has such contents, and it needs no more than that there are
        return blobs.read(self._folder, digest) if offset == BLOB else self._start.read(content)


class History:
    """The snapshots of a run."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._folder = run.snapshots
        self._newest = self._folder / "newest"
        self.blobs = self._folder / "blobs"

    @property
    def empty(self) -> bool:
        return not self._numbers()

    # --- reading ---

    def wait(self) -> None:
        """Wait until the start is recorded, and for a snapshot that is being taken."""
        with suppress(FileNotFoundError):
            lock.wait_until_free(self._run.recorder_lock)

    def heads(self) -> list[Head]:
        """Return the heads of all snapshots, the oldest first. Raises `StoreError` for a damaged one."""
        return [self._head(number) for number in self._numbers()]

    def load(self, number: int) -> Record:
        """Return a snapshot. Raises `StoreError` where it is damaged."""
        try:
            return record.loads(self._path(number).read_bytes())
        except FileNotFoundError:
            raise StoreError(f"snapshot {number} was removed meanwhile", "Try again") from None
        except (OSError, ValueError) as exc:
            raise _damaged(self._path(number), exc) from exc

    def manifest(self, state: State) -> Manifest:
        """Return the manifest of a snapshot or of the start. Raises `MoatError` where it is lost."""
        if isinstance(state, Head):
            return applied(self.start(), self.load(state.number).difference)
        if state is Fixed.START:
            return self.start()
        raise UsageError("what is there now is no snapshot", "Name one: moat snapshot list")

    def digest(self, number: int) -> str:
        """Return the SHA-256 of a record, by which the audit log names it."""
        return hashlib.sha256(self._path(number).read_bytes()).hexdigest()

    def start(self) -> Manifest:
        """Return the manifest of the start. Raises `MoatError` where there is none."""
        start = load(self._run.start_manifest)
        if start is None:
            raise _no_start(self._run)
        return start

    def started_at(self) -> int | None:
        """Return the time (ns) at which the start was recorded; `None` where that isn't kept."""
        try:
            return Sections(self._run.start_manifest.read_bytes()).head()["taken_at"]
        except (FileNotFoundError, ValueError, KeyError):
            return None

    @contextmanager
    def contents(self) -> Generator[HistoryContents]:
        with open_pack(self._run.start_contents) as file:
            yield HistoryContents(Pack(file, os.fstat(file.fileno()).st_size), self.blobs)

    # --- changing, with the lock held ---

    def save(self, snapshot: Record) -> None:
        """Add a snapshot, whose blobs are kept already."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        data = record.dumps(snapshot)
        replace_file(self._newest, b"%d" % snapshot.head.number, durable=False)
        replace_file(self._path(snapshot.head.number), data, durable=True)

    def next_number(self) -> int:
        """Return a number that no snapshot of the run has ever had: the audit log names them by it."""
        used = int(self._newest.read_bytes()) if self._newest.exists() else 0
        return max([used, *self._numbers()]) + 1

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove snapshots, and the contents that no other one has.

        With the last one of a run that has ended, the record of the start goes: its changes are frozen.
        """
        for number in numbers:
            self._path(number).unlink(missing_ok=True)
        left = self._numbers()
        used: set[bytes] = set()
        for number in left:
            for folder in self.load(number).difference.changed.folders.values():
                used |= {each[0] for each in folder.contents.values() if each[1] == BLOB}
        blobs.remove_all_but(self.blobs, used)
        if not left and self._run.changes.exists():
            self._run.start_manifest.unlink(missing_ok=True)
            self._run.start_contents.unlink(missing_ok=True)

    # --- files ---

    def _numbers(self) -> list[int]:
        names = (path.stem for path in self._folder.glob(f"*{_SUFFIX}"))
        return sorted(int(name) for name in names if name.isdecimal())

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}{_SUFFIX}"

    def _head(self, number: int) -> Head:
        path = self._path(number)
        try:
            with path.open("rb") as file:
                beginning = file.read(_BEGINNING)
                beginning += file.read(max(record.length_of_front(beginning) - _BEGINNING, 0))
            return record.head_of(beginning)
        except FileNotFoundError:
            raise StoreError(f"snapshot {number} was removed meanwhile", "Try again") from None
        except (OSError, ValueError) as exc:
            raise _damaged(path, exc) from exc


def _damaged(path: Path, exc: Exception) -> StoreError:
    return StoreError(
        f"the record of snapshot {path.stem} can't be read: {exc}",
        f"Update moat if a newer one wrote it; remove {path} if it is damaged",
    )


def _no_start(run: RunFolder) -> MoatError:
    if run.changes.exists():
        return MoatError(
            "the run has ended without a snapshot, so its start is kept for what it changed alone",
            "See moat diff and moat restore",
        )
    return MoatError(
        "nothing was recorded of the workspace when the run started", f"See {run.supervisor_log}"
    )
