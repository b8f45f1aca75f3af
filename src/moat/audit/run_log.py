"""The log of a run: the run itself, its events, its requests, and the files beside it.

`RunLog` remembers what couldn't be written, tells why nothing may pass meanwhile, and goes on where it
stopped, with a note of the gap. It does no waiting of its own: `supervisor.audit` says when.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from moat.audit.log import AuditBrokenError, AuditLog
from moat.audit.requests import Batch
from moat.audit.verifier import CLOSED, CREATED
from moat.event_stream import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moat.audit.checkpoint import Signer
    from moat.events import Event
    from moat.paths import RunFolder

log = logging.getLogger(__name__)

CONTINUED: Final = "log_continued"
GAP: Final = "gap"
REQUESTS: Final = "requests"
SEGMENT: Final = "journal_closed"
MAX_PENDING: Final = 1000
"""Entries that wait for the disk to have room; of more, only the number is kept."""
_PIECE: Final = 1 << 20


class RunLog:
    """The audit log of one run. Events come from the loop, requests from a thread."""

    def __init__(
        self, folder: RunFolder, run: Mapping[str, Any], home: Path, clock: Callable[[], float]
    ) -> None:
        """`run`: what the first entry says of the run, besides its specification."""
        self._folder = folder
        self._run = run
        self._head = head_path(home, folder.id)
        self._clock = clock
        self._log: AuditLog | None = None
        self._pending: deque[tuple[str, Mapping[str, Any], float]] = deque()
        self._missed = 0
        self._batch = Batch()
        self._lock = threading.RLock()
        self._committed: dict[str, str] = {}
        """The hashes of files that the log has."""
        self._batches = 0
        self.broken = False
        """The log was changed by somebody: no entry will ever be added to it."""
        self.problem = ""
        """The reason why nothing may pass, in one line; empty while all is well."""
        self.adopted = False
        """An earlier supervisor has begun the log."""

    # --- opening ---

    def open(self) -> bool:
        """Open the log, and write its first entry or that it goes on; tell whether that succeeded."""
        if self._log is None and not self.broken:
            try:
                self._log = AuditLog(self._folder.audit, self._head, self._folder.id, self._clock)
            except AuditBrokenError as exc:
                self.broken, self.problem = True, exc.summary
            except OSError as exc:
                self._failed(exc)
            else:
                self._begin(self._log)
        return self._log is not None

    def _begin(self, opened: AuditLog) -> None:
        earlier = opened.earlier
        self.adopted = earlier.entries > 0
        self._committed = earlier.commits
        self._batches = sum(name.startswith("requests/") for name in earlier.commits)
        if self.adopted:
            data = {"torn": earlier.torn, "unsigned": opened.unsigned}
            self._pending.appendleft((CONTINUED, data, self._clock()))
        else:
            spec = sha256_of(self._folder.spec)
            data = {**self._run, "commits": {"spec.json": spec}}
            if earlier.torn is not None:
                data["torn"] = earlier.torn
            self._pending.appendleft((CREATED, data, self._clock()))
        self.flush()

    # --- entries ---

    def __call__(self, at: float, event: Event) -> None:
        """Take an event. Implements `event_stream.Subscriber`."""
        data = as_json(at, event)
        del data["time"], data["event"]
        self.add(event.KIND, data, at)

    def add(self, kind: str, data: Mapping[str, Any], at: float | None = None) -> bool:
        """Write an entry, or keep it until it can be written; tell which."""
        if self.broken:
            return False
        with self._lock:
            if len(self._pending) < MAX_PENDING:
                self._pending.append((kind, data, self._clock() if at is None else at))
            else:
                self._missed += 1
            return self.flush()

    def flush(self) -> bool:
        """Write what waits, the oldest first; tell whether nothing waits any more."""
        if self._log is None:
            return False
        with self._lock:
            return self._flush(self._log)

    def _flush(self, opened: AuditLog) -> bool:
        try:
            while self._pending:
                opened.append(*self._pending[0])
                self._pending.popleft()
            if self._missed:
                opened.append(GAP, {"missed": self._missed})
                self._missed = 0
        except OSError as exc:
            self._failed(exc)
            return False
        if self.problem:
            log.info("the audit log is written again")
        self.problem = ""
        return True

    def _failed(self, exc: OSError) -> None:
        self.problem = f"the audit log can't be written: {exc.strerror}"
        log.error("%s", self.problem)

    # --- requests ---

    def requests(self, rows: list[tuple[Any, ...]]) -> bool:
        """Take rows of the traffic record that are final; tell whether they are the first of a batch.

        Called by the thread that has just written them.
        """
        with self._lock:
            first = self._batch.count == 0
            self._batch.add(rows)
            return first and self._batch.count > 0

    def end_batch(self) -> bool:
        """Commit to the rows taken so far; tell as `add` does."""
        with self._lock:
            batch, self._batch = self._batch, Batch()
            name = f"requests/{self._batches}"
            self._batches += batch.count > 0
        if not batch.count:
            return True
        commits = {name: batch.sha256()}
        return self.add(REQUESTS, {"commits": commits, "count": batch.count, "ids": batch.ranges})

    # --- files ---

    def close_segments(self, session: str, *, last: bool = False) -> bool:
        """Commit to the files of a journal, but for its last segment unless `last`; tell as `add` does.

        Those that the log has are passed over. The hashes take a while: call it in a thread.
        """
        folder = self._folder.journal / session
        numbers = sorted({path.stem for path in folder.glob("*.index")})
        written = True
        for number in numbers if last else numbers[:-1]:
            commits: dict[str, str] = {}
            for path in sorted(folder.glob(f"{number}.*")):
                if path.suffix in {".stdout", ".stderr", ".index"}:
                    name = f"journal/{session}/{path.name}"
                    if last or name not in self._committed:
                        commits[name] = sha256_of(path)
            commits = {
                name: each for name, each in commits.items() if self._committed.get(name) != each
            }
            if commits:
                self._committed |= commits
                data = {"session": session, "segment": int(number), "commits": commits}
                written = self.add(SEGMENT, data)
        return written

    # --- checkpoints, and the end ---

    @property
    def unsigned(self) -> int:
        """The number of entries that no checkpoint covers."""
        return 0 if self._log is None else self._log.unsigned

    def checkpoint(self, signer: Signer) -> None:
        """Sign what is there, and wait for the disk; call it in a thread. Raises `OSError`."""
        if self._log is not None:
            self._log.checkpoint(signer)

    def end(self, signer: Signer | None) -> None:
        """Write that nothing follows, and sign all. Raises `OSError`; then the log stays open."""
        if not self.end_batch() or self._log is None or self._pending:
            return
        if signer is not None:
            self._log.introduce(signer)
        self._log.append(CLOSED, {})
        if signer is not None:
            self._log.checkpoint(signer)

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None


def head_path(home: Path, run: str) -> Path:
    """Return where the newest checkpoint of a run lies: not in the run's folder, on purpose."""
    return home / "heads" / run


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
