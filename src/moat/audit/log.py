"""The audit log of a run on disk, which one process writes: the run's supervisor.

A line is a record of `verifier`'s format, so the file is a bundle without files and without an end.

- `append` has given an entry to the kernel when it returns. So a SIGKILL loses nothing that was
  acknowledged; what a write left unfinished has no newline, and the next writer records it as torn.
- `checkpoint` signs the tree and waits for the disk (fdatasync). So a crash of the machine may lose the
  entries since the last checkpoint, and none that a checkpoint covers.
- The newest checkpoint lies in a second file as well, apart from the run's folder: a log that was cut
  short or put back from a copy has fewer entries than that says.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moat import timestamps
from moat.atomic import replace_file
from moat.audit import checkpoint
from moat.audit.entry import SALT_BYTES, entry, private_part, storable
from moat.audit.proofs import Frontier, leaf_hash, read_checkpoint
from moat.audit.report import UnreadableError
from moat.audit.verifier import FORMAT, NO_ENTRY, SIGNING_KEY, Verifier
from moat.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from moat.audit.checkpoint import Signer

_SHOWN_OF_TORN: Final = 4096
"""Bytes of a torn tail that its entry quotes."""


class AuditBrokenError(StoreError):
    """The log isn't what was written: nothing may be added to it."""

    code = "audit_broken"


@dataclass
class Earlier:
    """Facts about the earlier entries that a new writer needs."""

    entries: int = 0
    torn: dict[str, Any] | None = None
    """The bytes of an entry whose writer was killed over it."""
    keys: set[str] = field(default_factory=set[str])
    commits: dict[str, str] = field(default_factory=dict[str, str])
    """The hashes of files that the entries commit to."""
    requests: dict[str, Any] | None = None
    """The data of the last entry about requests."""
    closed: bool = False


class AuditLog:
    """The only writer of a log. Any thread may call it."""

    def __init__(self, path: Path, head: Path, run: str, clock: Callable[[], float]) -> None:
        """Open the log of a run, or begin it, and verify what is there.

        `head` is where the newest checkpoint is kept; `clock` returns seconds since the epoch. Raises
        `OSError`, and `AuditBrokenError` for a log that was changed.
        """
        self._head = head
        self._run = run
        self._clock = clock
        self._lock = threading.Lock()
        self._tree = Frontier()
        self._prev = NO_ENTRY
        self._signed = 0
        self.earlier = Earlier()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._size = self._recover()
        except BaseException:
            os.close(self._fd)
            raise

    # --- writing ---

    def append(self, kind: str, data: Mapping[str, Any], at: float | None = None) -> int:
        """Add an entry, and return its number. Raises `OSError`; then there is none.

        `at`: seconds since the epoch, the present if left out.
        """
        moment = datetime.fromtimestamp(self._clock() if at is None else at, UTC)
        private = private_part(storable(data), os.urandom(SALT_BYTES))
        with self._lock:
            line = entry(
                run=self._run,
                seq=self._tree.size,
                prev=self._prev,
                time=timestamps.text_of(moment),
                kind=kind,
                private=private,
            )
            self._write(b"entry %b\t%b\n" % (line, private))
            leaf = leaf_hash(line)
            self._tree.append(leaf)
            self._prev = leaf.hex()
            return self._tree.size - 1

    @property
    def unsigned(self) -> int:
        """The number of entries that no checkpoint covers."""
        return self._tree.size - self._signed

    def checkpoint(self, signer: Signer) -> None:
        """Sign all entries, and wait until they are on disk. Raises `OSError`."""
        self.introduce(signer)
        with self._lock:
            size = self._tree.size
            note = checkpoint.signed(self._run, size, self._tree.root(), signer)
            self._write(b"checkpoint %b\n" % checkpoint.encoded(note))
            self._signed = size
        os.fdatasync(self._fd)
        self._head.parent.mkdir(mode=0o700, exist_ok=True)
        replace_file(self._head, note.encode(), durable=True)

    def introduce(self, signer: Signer) -> None:
        """Name the key before it signs: nobody can put another in its place later."""
        public = signer.public.hex()
        if public in self.earlier.keys:
            return
        self.append(SIGNING_KEY, {"public": public})
        with self._lock:
            self._write(b"key %b\n" % base64.b64encode(signer.public))
        self.earlier.keys.add(public)

    def close(self) -> None:
        os.close(self._fd)

    def _write(self, line: bytes) -> None:
        written = os.write(self._fd, line)
        if written < len(line):
            os.ftruncate(self._fd, self._size)  # no half lines
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    # --- the entries of an earlier writer ---

    def _recover(self) -> int:
        """Verify the log and take up its chain; return its size."""
        size = os.fstat(self._fd).st_size
        whole = self._whole(size)
        if whole == 0:
            if self._head.exists():
                raise _broken("it is empty, but it was signed before")
            self._cut_torn_tail(0, size)
            self._size = 0
            self._write(b"%b\nrun %b\n" % (FORMAT, self._run.encode()))
            return self._size
        verifier = Verifier(held=_held(self._head))
        try:
            for line in lines_of(self._fd, whole):
                verifier.feed(line)
                if verifier.problems:
                    break
                self._note(line)
            report = verifier.finish(is_open=True)
        except UnreadableError as exc:
            raise _broken(str(exc)) from exc
        if report.problems:
            raise _broken(report.problems[0].text)
        if report.run != self._run:
            raise _broken(f"it is that of run {report.run}")
        self._cut_torn_tail(whole, size)  # a log that was changed is left as it is: it is evidence
        self._signed = report.signed
        self.earlier.entries = report.entries
        self.earlier.closed = report.closed
        return whole

    def _note(self, line: bytes) -> None:
        if line.startswith(b"key "):
            self.earlier.keys.add(base64.b64decode(line[4:]).hex())
        if not line.startswith(b"entry "):
            return
        public, _, private = line[6:].partition(b"\t")
        leaf = leaf_hash(public)
        self._tree.append(leaf)
        self._prev = leaf.hex()
        if b'"commits":{' in private:
            data = json.loads(private)["data"]
            self.earlier.commits |= data.get("commits", {})
            if b'"kind":"requests"' in public:
                self.earlier.requests = data

    def _whole(self, size: int) -> int:
        """Return the size without what the last writer did not finish.

        That is what follows the last newline. After a crash of the machine, a file system may also have
        left zeros, which no line contains.
        """
        whole = 0
        for line in lines_of(self._fd, size):
            if b"\0" in line:
                break
            whole += len(line) + 1
        if whole == len(FORMAT) + 1 and os.pread(self._fd, len(FORMAT), 0) == FORMAT:
            whole = 0  # the header is written at once, with the name of the run
        return whole

    def _cut_torn_tail(self, whole: int, size: int) -> None:
        """Cut off what the last writer did not finish, and remember it for an entry."""
        if whole < size:
            torn = os.pread(self._fd, size - whole, whole)
            self.earlier.torn = {
                "bytes": len(torn),
                "sha256": hashlib.sha256(torn).hexdigest(),
                "text": torn[:_SHOWN_OF_TORN].decode(errors="backslashreplace"),
            }
            os.ftruncate(self._fd, whole)


def lines_of(fd: int, size: int) -> Iterator[bytes]:
    """Read whole lines from the beginning of a file up to a size, without their newlines."""
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        left = size
        while left > 0 and (line := file.readline(left)).endswith(b"\n"):
            left -= len(line)
            yield line[:-1]


def _held(head: Path) -> list[str]:
    try:
        note = head.read_text(encoding="utf-8")
        read_checkpoint(note)
    except FileNotFoundError:
        return []
    except ValueError as exc:
        raise _broken(f"its newest checkpoint, {head}, can't be read: {exc}") from exc
    return [note]


def _broken(why: str) -> AuditBrokenError:
    return AuditBrokenError(
        f"the run's audit log was changed or cut short: {why}",
        "Nothing passes any more. Look at it: moat audit RUN --verify",
    )
