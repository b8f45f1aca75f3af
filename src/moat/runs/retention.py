"""Which runs are kept, by their number, age and size. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class EndedRun(NamedTuple):
    """A run that has ended, and might be removed."""

    id: str
    ended_at: float
    """Seconds since the epoch."""
    size: int
    """Bytes on disk."""


class Retention(NamedTuple):
    """Upper bounds for the runs that have ended; `None` where there is none."""

    age: float | None = None
    """Seconds since a run's end."""
    runs: int | None = None
    """The number of runs."""
    size: int | None = None
    """Bytes of all of them."""

    @property
    def limited(self) -> bool:
        """Tell whether there is any bound at all."""
        return any(each is not None for each in self)

    def beyond(self, runs: Iterable[EndedRun], now: float) -> list[str]:
        """Return the ids of the runs that the bounds leave no room for, the oldest first.

        The newest are kept: of two runs, no bound removes the newer one and keeps the older.
        """
        newest_first = sorted(runs, key=lambda run: (run.ended_at, run.id), reverse=True)
        kept = size = 0
        for run in newest_first:
            size += run.size
            if (
                (self.runs is not None and kept >= self.runs)
                or (self.age is not None and now - run.ended_at >= self.age)
                or (self.size is not None and size > self.size)
            ):
                break
            kept += 1
        return [run.id for run in reversed(newest_first[kept:])]
