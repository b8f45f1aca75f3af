"""Sums over all runs, which SQLite adds up: a store may have many thousands."""

from __future__ import annotations

from typing import Final, NamedTuple

from moat.runs.index import DISK_COLUMNS


class Census(NamedTuple):
    """The runs in one state."""

    state: str
    runs: int
    waiting: int
    """Runs among them that wait for their user."""
    journal: int
    """Bytes of what was measured, as the next two: output, record, and all else."""
    record: int
    other: int
    unmeasured: int
    """Runs of which nobody has measured anything: those that go on, and those that died."""


PER_STATE: Final = (
    "SELECT state, count(*), sum(waits_for != '' OR waiting != ''),"  # noqa: S608  ours
    f" {', '.join(f'ifnull(sum({each}), 0)' for each in DISK_COLUMNS)},"
    f" sum({DISK_COLUMNS[0]} IS NULL) FROM runs GROUP BY state"
)
"""Selects a `Census` for each state."""
DISK_USE: Final = f"SELECT id, {' + '.join(DISK_COLUMNS)} FROM runs"  # noqa: S608  ours
"""Selects the bytes that each run takes, by its id."""
