"""A limit on restarts, for a run whose supervisors die one after the other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from moat.errors import SupervisorError

if TYPE_CHECKING:
    from moat.runs.store import Run, Store

# After so many short lives in a row the next supervisor would not live longer.
MAX_RESTARTS: Final = 5
# A supervisor that has lived this long did not die of being started.
STABLE_S: Final = 5.0


class RestartLimit:
    """A count of a run's supervisors that died under one client."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store = store
        self._run = run
        self._restarts = 0
        self._last_death = time.monotonic()

    def supervisor_died(self, exc: Exception | None = None) -> None:
        """Count a death. Raise `SupervisorError`, from `exc`, once they are too many."""
        now = time.monotonic()
        self._restarts = 0 if now - self._last_death > STABLE_S else self._restarts + 1
        self._last_death = now
        if self._restarts >= MAX_RESTARTS:
            raise SupervisorError(
                f"the supervisor of run {self._run.name} keeps dying; the run may still be alive",
                f"See why: {self._store.folder(self._run.id).supervisor_log}",
            ) from exc
