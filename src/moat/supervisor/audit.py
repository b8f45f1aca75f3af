"""Writing, signing and closing the audit log of a run, and what stops while it can't be written."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moat.audit.run_log import RunLog
from moat.errors import MoatError
from moat.events import Fault
from moat.runs import consents
from moat.supervisor.state import RETRY_S
from moat.supervisor.witness import WitnessStarter
from moat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.audit.signing_key import SigningKey
    from moat.events import Event
    from moat.supervisor.context import RunContext

log = logging.getLogger(__name__)

EVERY_ENTRIES: Final = 256
"""A checkpoint is made after so many entries at the latest."""
EVERY_S: Final = 10.0
"""A checkpoint is made so long after an entry at the latest. A crash of the machine can lose as much."""
BATCH_S: Final = 1.0
"""Requests within this time share an entry."""


class RunAudit:
    """Keeps the log of one run. Implements `event_stream.Subscriber`."""

    def __init__(self, home: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._home = home
        self._loop = loop
        self._run: RunContext | None = None
        self._log: RunLog | None = None
        self._witness: WitnessStarter | None = None
        self._signer: SigningKey | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._signing = False
        self._retry: asyncio.TimerHandle | None = None
        self._key_fault = False
        self._in_threads: set[asyncio.Future[Any]] = set()
        """Work on the log that threads do at this moment."""
        self._closing = False
        """Nothing more is begun with the log."""
        self._closed = False

    @property
    def problem(self) -> str:
        """Why nothing may pass, in one line; empty while all is well."""
        problem = "" if self._log is None else self._log.problem
        return f"nothing passes: {problem}" if problem else ""

    def check(self) -> None:
        """Raise `MoatError` while nothing may happen that can't be recorded."""
        if self.problem:
            raise MoatError(self.problem, "It goes on by itself once the log can be written")

    # --- opening ---

    def open(self, run: RunContext) -> None:
        """Begin the log, or go on with it, before anything else happens to the run."""
        self._run = run
        self._witness = WitnessStarter(self._home, run.folder.id)
        self._log = RunLog(run.folder, _facts(run, self._home), self._home, time.time)
        if not self._log.open() or self._log.problem:
            self._stopped()
        self._armed()

    def adopt(self) -> None:
        """Commit, in a thread, to the output that the last supervisor left uncommitted."""
        self._in_background(self._commit_to_journals)

    def _commit_to_journals(self) -> None:
        if self._log is not None and self._run is not None and self._run.folder.journal.exists():
            for session in sorted(self._run.folder.journal.iterdir()):
                self._log.close_segments(session.name)

    # --- what is recorded ---

    def __call__(self, at: float, event: Event) -> None:
        if self._log is None or self._closed:
            return
        if not self._log.problem:
            self._log(at, event)
            if self._log.problem:
                self._stopped()
        else:
            self._log(at, event)
        self._armed()

    def requests(self, rows: list[tuple[Any, ...]]) -> None:
        """Take rows of the traffic record that are final, from the thread that has written them."""
        if self._log is not None and self._log.requests(rows):
            self._loop.call_soon_threadsafe(self._loop.call_later, BATCH_S, self._end_batch)

    def segment_closed(self, session: str) -> None:
        """Commit to the segments of a journal, of which a new one was begun."""
        recorder = self._log
        if recorder is not None:
            self._in_background(lambda: recorder.close_segments(session))

    def _end_batch(self) -> None:
        if self._log is not None and not self._closed:
            before = self._log.problem
            self._log.end_batch()
            if self._log.problem and not before:
                self._stopped()
            self._armed()

    def _in_thread(self, work: Callable[[], object]) -> asyncio.Future[Any]:
        future = self._loop.run_in_executor(None, work)
        self._in_threads.add(future)
        future.add_done_callback(self._in_threads.discard)
        return future

    def _in_background(self, work: Callable[[], object]) -> None:
        future = self._in_thread(work)

        def done(_: object) -> None:
            error = future.exception()
            if error is not None:
                self._report("audit", f"files are not in the audit log: {error}")
            self._armed()

        future.add_done_callback(done)

    # --- a log that can't be written ---

    def _stopped(self) -> None:
        """Say why nothing passes, and try again, unless that is in vain."""
        if self._run is None or self._log is None:
            return
        self._run.state.nothing_passes = self.problem
        self._run.state.report(None)
        self._run.emit(Fault("audit", self._log.problem))
        if not self._log.broken and not self._closing and self._retry is None:
            # A disk that was full tells nobody when it has room again.
            self._retry = self._loop.call_later(RETRY_S, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        if self._run is None or self._log is None or self._closed:
            return
        if self._log.open() and self._log.flush():
            self._run.state.nothing_passes = ""
            self._run.state.report(None)
            self._run.emit(Fault("audit", ""))
        else:
            self._retry = self._loop.call_later(RETRY_S, self._try_again)

    # --- checkpoints ---

    def _armed(self) -> None:
        """See to it that what is not signed will be."""
        if self._log is None or self._closing or self._signing or not self._log.unsigned:
            return
        if self._log.unsigned >= EVERY_ENTRIES:
            self._sign()
        elif self._timer is None:
            self._timer = self._loop.call_later(EVERY_S, self._sign)

    def _sign(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._signing or self._closed or self._log is None or self._log.problem:
            return
        self._signing = True
        future = self._in_thread(self._checkpoint)

        def done(_: object) -> None:
            self._signing = False
            error = future.exception()
            if error is not None:
                self._report("signature", _words(error))
                self._key_fault = True
                if self._timer is None and not self._closing:
                    self._timer = self._loop.call_later(EVERY_S, self._sign)
                return
            if self._key_fault:
                self._key_fault = False
                self._emit(Fault("signature", ""))
            if self._witness is not None and not self._closing:
                self._witness.signed()
            self._armed()

        future.add_done_callback(done)

    def _checkpoint(self) -> None:
        if self._log is not None:
            self._log.checkpoint(self._key())

    def _key(self) -> SigningKey:
        """Return the installation's key. Raises `VaultError`."""
        if self._signer is None:
            from moat.audit.signing_key import SigningKeys  # noqa: PLC0415  the vault loads slowly

            self._signer = SigningKeys(self._home).current()
        return self._signer

    def _report(self, part: str, detail: str) -> None:
        log.error("%s: %s", part, detail)
        if not self._key_fault:
            self._emit(Fault(part, detail))

    def _emit(self, fault: Fault) -> None:
        if self._run is not None and not self._closed:
            self._run.emit(fault)

    # --- the end ---

    async def close(self, *, complete: bool) -> None:
        """Let go of the log. `complete`: the run has ended, and nothing will follow."""
        self._closing = True
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()
        if self._in_threads:  # none of them may write behind the end
            await asyncio.wait(self._in_threads)
        if self._log is None or self._closed:
            return
        self._closed = True
        try:
            self._log.end_batch()
            if complete and self._run is not None:
                self._close_complete(self._log, self._run)
        except (OSError, MoatError) as exc:
            log.error("the audit log is not signed to its end: %s", _words(exc))  # noqa: TRY400
        finally:
            self._log.close()

    def _close_complete(self, recorder: RunLog, run: RunContext) -> None:
        for session in sorted(run.folder.journal.iterdir()):
            recorder.close_segments(session.name, last=True)
        try:
            signer = self._key()
        except MoatError as exc:
            log.error("the audit log is closed without a signature: %s", exc.summary)  # noqa: TRY400
            signer = None
        recorder.end(signer)
        if self._witness is not None:
            self._witness.signed(last=True)


def _facts(run: RunContext, home: Path) -> dict[str, Any]:
    """Return what the first entry says in the clear; the specification is committed to as a whole."""
    spec = run.spec
    return {
        "name": spec.name,
        # Not `created` where an earlier version of Moat, which kept no log, has started the run.
        "state": str(run.state.now),
        "command": list(spec.command),
        "workspace": spec.workspace,
        "engine": spec.engine,
        "created_at": spec.created_at,
        "grants": [each.name for each in spec.grants],
        "secrets": sorted(spec.secrets),
        "version": __version__,
        "uid": run.folder.root.stat().st_uid,
        "consents": _consents(home, Path(spec.workspace)),
    }


def _consents(home: Path, workspace: Path) -> list[dict[str, Any]]:
    """Return what the user has agreed to for this project, as it was when the run was created."""
    return [
        {"at": each.at, "lines": [[line.field, line.value, line.opens] for line in each.lines]}
        for each in consents.agreements(home, workspace)
    ]


def _words(exc: BaseException) -> str:
    return exc.summary if isinstance(exc, MoatError) else str(exc)
