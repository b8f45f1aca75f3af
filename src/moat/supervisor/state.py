"""The run's row, as its one writer keeps it.

A write that fails is never lost: it is logged, kept, and tried again until the disk takes it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moat.errors import StoreError
from moat.runs.states import ENDED, Happened, State, after

if TYPE_CHECKING:
    from moat.runs.store import Store
    from moat.spec import RunId

log = logging.getLogger(__name__)

# A disk that was full tells nobody when it has room again.
RETRY_S: Final = 1.0


class RunState:
    """Where the run is in its life, in memory and on disk."""

    def __init__(self, store: Store, run_id: RunId, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._id = run_id
        self._loop = loop
        self._unsaved: dict[str, Any] = {}
        self._retry: asyncio.TimerHandle | None = None
        self.saved = asyncio.Event()
        """The disk has all that we know."""
        self.saved.set()
        run = store.get(run_id)
        self.now = run.state
        self.started_at = run.started_at
        self.error = run.error
        """What the last supervisor had to say."""

    @property
    def ended(self) -> bool:
        return self.now in ENDED

    def advance(self, happened: Happened, **also: object) -> None:
        """One step of the table, written with what else is known by it."""
        before, self.now = self.now, after(self.now, happened)
        log.info("%s: %s -> %s", happened, before, self.now)
        if happened is Happened.COMMAND_STARTED:
            self.started_at = _now()
            also["started_at"] = self.started_at
        if self.now in ENDED:
            also |= {"stopped_at": _now(), "waiting": ""}
        self.save(state=self.now, **also)

    def save(self, **changed: object) -> None:
        self._unsaved |= changed
        self._write()

    def as_json(self) -> dict[str, Any]:
        """The row, with what the disk has not taken yet."""
        return replace(self._store.get(self._id), **self._unsaved).as_json()

    def _write(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        try:
            self._store.update(self._id, **self._unsaved)
        except StoreError as exc:
            log.error("state not saved, trying again: %s", exc.summary)  # noqa: TRY400  no traceback
            self._retry = self._loop.call_later(RETRY_S, self._write)
            self.saved.clear()
        else:
            self._unsaved.clear()
            self.saved.set()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["RunState", "State"]
