"""Removing ended runs beyond bounds: those of a command line, or of the user's settings.

The settings' bounds (`retention`) are applied by a process in the background, which a start of a run
begins, at most once an hour. It removes some hundred runs at most, the oldest first. It leaves every run
about which the user has something to read, as `moat run --rm` does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.client.connect import spawn
from moat.client.removal import remove_all
from moat.runs import lock
from moat.runs.disk import Measure
from moat.runs.retention import EndedRun, Retention
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.runs.store import Run

EVERY_S: Final = 3600.0
"""The time between two passes in the background."""
AT_ONCE: Final = 200
"""Runs that a pass removes at most."""
NICENESS: Final = 10
MEASURE_S: Final = 20.0
"""The time for measuring runs that nobody has measured at their ends."""
_LOCK: Final = "upkeep.lock"
"""Held by a pass; its time says when the last one began."""


def ended_runs(store: Store, runs: Iterable[Run]) -> list[EndedRun]:
    """Return what decides about the removal of runs that have ended."""
    sizes, measure = store.disk_use(), Measure(MEASURE_S)
    found: list[EndedRun] = []
    for run in runs:
        size = sizes.get(run.id)
        if size is None:
            size = measure.run(store.folder(run.id)).total
        ended_at = datetime.fromisoformat(run.stopped_at or run.created_at).timestamp()
        found.append(EndedRun(run.id, ended_at, size))
    return found


def start_if_due(home: Path, retention: Retention) -> None:
    """Start a pass in the background, unless there was one within the hour."""
    path = home / _LOCK
    if not retention.limited:
        return
    # A time in the future was written while the clock was wrong.
    if path.exists() and abs(time.time() - path.stat().st_mtime) < EVERY_S:
        return
    with open(os.devnull, "wb") as null:  # noqa: PTH123  no path of a user's
        module = (__name__, str(home), json.dumps(retention))
        spawn.start(module, spawn.environment(str(home)), (null.fileno(), null.fileno()))


def run_pass(home: Path, retention: Retention) -> int:
    """Remove the runs that the bounds leave no room for; return how many were removed."""
    held = lock.try_lock(home / _LOCK)
    if held is None:
        return 0  # another pass is at work
    try:
        os.utime(held)
        with Store(home) as store:
            runs = {str(run.id): run for run in store.all() if run.ended}
            beyond = retention.beyond(ended_runs(store, runs.values()), time.time())
            chosen = [runs[each] for each in beyond if not _has_findings(store, each)]
            removed = 0
            while chosen and removed < AT_ONCE:
                # Those that stay, as copies with work in them do, take no other's turn.
                few = chosen[: AT_ONCE - removed]
                del chosen[: len(few)]
                removed += sum(each.error is None for each in remove_all(store, few, force=False))
    finally:
        os.close(held)
    return removed


def _has_findings(store: Store, run_id: str) -> bool:
    """Tell whether something was quarantined, or nobody has looked at the run's workspace yet."""
    folder = store.folder(run_id)
    return folder.quarantine_report.exists() or folder.workspace_snapshot.exists()


if __name__ == "__main__":
    with suppress(OSError):
        os.nice(NICENESS)
    run_pass(Path(sys.argv[1]), Retention(*json.loads(sys.argv[2])))
