"""Supervisors that die one after the other under somebody who goes on with the next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from moat.errors import SupervisorError

if TYPE_CHECKING:
    from moat.runs.store import Run, Store

# A supervisor that can't live longer than this, so often in a row, will not do so the next time.
MAX_RECONNECTS: Final = 5
STABLE_S: Final = 5.0


class Deaths:
    """Of a run's supervisors, as one client sees them."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store = store
        self._run = run
        self._failures = 0
        self._last = time.monotonic()

    def another(self, exc: Exception | None = None) -> None:
        """One more has died. Raises `SupervisorError` where that happens again and again."""
        now = time.monotonic()
        self._failures = 0 if now - self._last > STABLE_S else self._failures + 1
        self._last = now
        if self._failures >= MAX_RECONNECTS:
            raise SupervisorError(
                f"the supervisor of run {self._run.name} keeps dying; the run may still live",
                f"See why: {self._store.folder(self._run.id).supervisor_log}",
            ) from exc
