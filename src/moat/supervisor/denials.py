"""Denials of the network as events: each at once, and those that repeat it counted.

The traffic record keeps every one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.events import Denied
from moat.supervisor.repeats import Repeats

if TYPE_CHECKING:
    from moat.supervisor.context import RunContext

_Key = tuple[str, str, int, str]


class Denials:
    """Emits `Denied` events, a bounded number in each window."""

    def __init__(self, run: RunContext) -> None:
        self._emit = run.emit
        self._repeats: Repeats[_Key] = Repeats(run.loop, self._tell)

    def add(self, scheme: str, host: str, port: int, rule: str, reason: str) -> None:
        """Report one denial."""
        self._repeats.add((scheme, host, port, rule), reason)

    def flush(self) -> None:
        """Emit what was counted, and begin anew."""
        self._repeats.flush()

    def _tell(self, key: _Key | None, reason: str, count: int) -> None:
        if key is None:
            self._emit(Denied("", "", 0, "", "many others", count))
        else:
            self._emit(Denied(*key, reason, count))
