"""A traffic database that misbehaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.traffic.writer import TrafficWriter


class _Database:
    def __init__(self, database: Any, before: Callable[[], object]) -> None:
        self._database = database
        self._before = before

    def execute(self, *given: Any) -> Any:
        self._before()
        return self._database.execute(*given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


def interpose(record: TrafficWriter, before: Callable[[], object]) -> None:
    """Call `before` before each statement of the writer."""
    record._db = _Database(record._db, before)
