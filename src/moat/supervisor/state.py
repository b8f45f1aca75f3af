"""The run's row in the store, as its one writer keeps it.

A write that fails is never lost: it is logged, kept, and tried again until the disk takes it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from moat import timestamps
from moat.errors import StoreError
from moat.events import Fault, StateChanged
from moat.runs.states import ENDED, Happened, State, after

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.events import Emit
    from moat.runs.store import Store
    from moat.spec import RunId

log = logging.getLogger(__name__)

# A disk that was full tells nobody when it has room again.
RETRY_S: Final = 1.0


class RunState:
    """The run's place in its life, in memory and on disk."""

    def __init__(
        self, store: Store, run_id: RunId, loop: asyncio.AbstractEventLoop, emit: Emit
    ) -> None:
        self._store = store
        self._id = run_id
        self._loop = loop
        self._emit = emit
        self._unsaved: dict[str, Any] = {}
        self._retry: asyncio.TimerHandle | None = None
        self.saved = asyncio.Event()
        """The disk has all that is known here."""
        self.saved.set()
        run = store.get(run_id)
        self.now = run.state
        self.started_at = run.started_at
        self.waits_for = run.waits_for
        """The run's wait, as the last supervisor told it."""
        self.error = run.error
        """The last supervisor's message for the user."""
        self.stopped_because = (run.error or "") if run.state is State.STOPPING else ""
        """The reason for which the run is stopped, where no user asked for that."""
        self.nothing_passes = ""
        """The reason why the audit log lets nothing pass, which lasts whatever else is reported."""

    @property
    def ended(self) -> bool:
        return self.now in ENDED

    def advance(self, happened: Happened, **also: object) -> None:
        """Take one step of the transition table and write it, with other columns known by now."""
        before, self.now = self.now, after(self.now, happened)
        log.info("%s: %s -> %s", happened, before, self.now)
        if happened is Happened.COMMAND_STARTED:
            self.started_at = timestamps.now()
            also["started_at"] = self.started_at
        if self.now in ENDED:
            also |= {"stopped_at": timestamps.now(), "waiting": "", "waits_for": "", "ports": ()}
        self.save(state=self.now, **also)
        self._emit(_changed(before, self.now, happened, also))

    def report(self, problem: str | None, **also: object) -> None:
        """Write what is wrong with the run at present; where nothing is, why it is being stopped."""
        problem = problem or self.nothing_passes or self.stopped_because
        self.save(error=problem or None, **also)

    def save(self, **changed: object) -> None:
        """Write columns of the run's row, now or as soon as the disk takes them."""
        self._unsaved |= changed
        self._write()

    def as_json(self) -> dict[str, Any]:
        """Return the row as `moat inspect` shows it, with what the disk has not taken yet."""
        return self._store.get(self._id)._replace(**self._unsaved).as_json()

    def _write(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        try:
            self._store.update(self._id, **self._unsaved)
        except StoreError as exc:
            log.error("state not saved, trying again: %s", exc.summary)  # noqa: TRY400  no traceback
            self._retry = self._loop.call_later(RETRY_S, self._write)
            if self.saved.is_set():
                self.saved.clear()
                self._emit(Fault("state", exc.summary))
        else:
            self._unsaved.clear()
            if not self.saved.is_set():
                self.saved.set()
                self._emit(Fault("state", ""))


def _changed(
    before: State, after: State, cause: Happened, also: Mapping[str, object]
) -> StateChanged:
    exit_code, error = also.get("exit_code"), also.get("error")
    return StateChanged(
        str(before),
        str(after),
        str(cause),
        exit_code if isinstance(exit_code, int) else None,
        error if isinstance(error, str) else None,
    )
