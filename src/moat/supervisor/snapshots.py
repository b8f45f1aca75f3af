"""Snapshots of the workspace, when somebody asks for one and when something happens to the run.

Each is taken by a process of its own, with the lowest priority. One at a time is taken unasked, however
often a program has events happen.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from moat.errors import MoatError
from moat.events import (
    Fault,
    RestoreBegun,
    SnapshotTaken,
    ViewerAttached,
    ViewerDetached,
    WaitingChanged,
)
from moat.workspace.patch import quoted

if TYPE_CHECKING:
    import asyncio

    from moat.events import Event, Peer
    from moat.spec.snapshots import Trigger
    from moat.supervisor.context import RunContext

log = logging.getLogger(__name__)

WORKER: Final = "moat.workspace.history.worker"
_RESULT: Final = 1
# An event shows no more of the paths of a restore than this.
SHOWN_PATHS, SHOWN_CHARACTERS = 64, 1000
# An agent that asks for a permission is in the middle of its turn.
_IN_A_TURN: Final = frozenset(("", "permission"))


class Snapshots:
    """A subscriber of events that takes snapshots of one run."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._viewers = 0
        self._due: Trigger | None = None
        """The moment that has come while a snapshot for another was being taken."""
        self.busy = False
        """A snapshot is being taken that nobody has asked for."""
        self._fault_told = False
        self._closed = False

    def __call__(self, at: float, event: Event) -> None:
        del at
        match event:
            case ViewerAttached():
                self._viewers += 1
            case ViewerDetached(reason=reason):
                self._viewers = max(self._viewers - 1, 0)
                if not self._viewers and reason != "ended":
                    self._take_unasked("detach")
            case WaitingChanged(waits_for=what) if what not in _IN_A_TURN:
                self._take_unasked("turn")
            case _:
                pass

    async def take_asked(self, label: str, peer: Peer) -> dict[str, Any]:
        """Take a snapshot that a user wants. Raises `MoatError`, also for a label that can't be one."""
        from moat.workspace.history.record import ASKED  # noqa: PLC0415  for few runs
        from moat.workspace.history.reference import check_label  # noqa: PLC0415

        if label:
            check_label(label)
        return await self.take(ASKED, label, peer)

    async def take_before_restore(
        self, snapshot: str, paths: list[str], peer: Peer
    ) -> dict[str, Any]:
        """Take a snapshot of what a restore is about to replace, and record who restores what."""
        from moat.workspace.history.record import RESTORE  # noqa: PLC0415  as above

        before = await self.take(RESTORE, "", peer)
        # A path needn't be valid Unicode, which an entry of the audit log is.
        shown = tuple(quoted(path)[:SHOWN_CHARACTERS] for path in paths[:SHOWN_PATHS])
        self._run.emit(RestoreBegun(snapshot[:SHOWN_CHARACTERS], shown, peer))
        return before

    async def take(self, reason: str, label: str = "", peer: Peer | None = None) -> dict[str, Any]:
        """Take a snapshot; return its head and digest, or nothing where none was due.

        Raises `MoatError` where it can't be taken.
        """
        outcome = await self._outcome(reason, label)
        if "failure" in outcome:
            raise MoatError(outcome["failure"], outcome["hint"])
        if outcome:
            self._run.emit(taken(outcome, peer))
        return outcome

    def close(self) -> None:
        """Take no more unasked. A process that is at work finishes, for whoever is next."""
        self._closed = True

    def _take_unasked(self, trigger: Trigger) -> None:
        if trigger not in self._run.spec.snapshots.on or self._closed or self._run.state.ended:
            return
        if self.busy:
            self._due = trigger
            return
        self.busy = True
        self._run.tasks.start(self._take_all_due(trigger))

    async def _take_all_due(self, trigger: Trigger) -> None:
        due: Trigger | None = trigger
        while due is not None and not self._closed:
            try:
                await self.take(due)
            except MoatError as error:
                self._tell(error.summary)
            due, self._due = self._due, None
        self.busy = False
        self._run.changes.notify()

    def _tell(self, reason: str) -> None:
        """Report that snapshots fail, the first time that one does."""
        log.error("no snapshot: %s", reason)
        if not self._fault_told:
            self._fault_told = True
            self._run.emit(Fault("snapshot", reason))

    async def _outcome(self, reason: str, label: str) -> dict[str, Any]:
        """Start the process, and return what it says when it is over."""
        loop = self._run.loop
        try:
            pipe = _spawn(str(self._run.folder.root), reason, label)
        except OSError as exc:
            raise MoatError(f"the snapshot can't be taken: {exc.strerror}") from exc
        said = bytearray()
        over: asyncio.Future[None] = loop.create_future()

        def readable() -> None:
            piece = os.read(pipe, 65536)
            said.extend(piece)
            if not piece:
                loop.remove_reader(pipe)
                over.set_result(None)

        loop.add_reader(pipe, readable)
        try:
            await over
        finally:
            loop.remove_reader(pipe)
            os.close(pipe)
        try:
            return json.loads(said)
        except ValueError:
            raise MoatError(
                "the snapshot was not taken: its process was killed",
                f"See {self._run.folder.supervisor_log}",
            ) from None


def taken(head: dict[str, Any], peer: Peer | None = None) -> SnapshotTaken:
    """Return the event about a snapshot with this head and digest."""
    unkept = head["unkept"] + head["too_large"]
    return SnapshotTaken(
        head["number"], head["reason"], head["label"], head["changed"], unkept, head["digest"], peer
    )


def _spawn(*arguments: str) -> int:
    """Start the worker; return the pipe to which it writes."""
    heard, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.set_blocking(told, True)
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-m", WORKER, *arguments],
            dict(os.environ),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, told, _RESULT),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP, signal.SIGINT),
        )
    except OSError:
        os.close(heard)
        raise
    finally:
        os.close(told)
    return heard
