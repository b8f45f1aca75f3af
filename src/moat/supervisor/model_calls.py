"""Answers of language models as events: each at once, unless there are very many of them.

A hostile program can be its own model, and answer itself thousands of times a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.egress.budget.prices import DOLLAR
from moat.egress.traffic.schema import TOKENS
from moat.events import ModelUsed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from moat.supervisor.context import RunContext

WINDOW_S: Final = 10.0
AT_ONCE: Final = 32
"""Answers that are told in each window by themselves; further ones are summed up until its end."""
MAX_MODELS: Final = 32
"""Models whose answers are summed up by themselves; those of others are summed up together."""


class _Sum:
    """The answers of one model that were not told yet."""

    def __init__(self) -> None:
        self.requests = self.tokens = self.output = self.estimated = self.cost = 0
        self.priced = True

    def add(self, usage: Mapping[str, object], cost: int | None) -> None:
        self.requests += 1
        self.estimated += _count(usage, "estimated_tokens")
        self.output += _count(usage, "output_tokens")
        self.tokens += sum(_count(usage, kind) for kind in (*TOKENS, "estimated_tokens"))
        self.cost += cost or 0
        self.priced = self.priced and cost is not None


class ModelCalls:
    """Emits `ModelUsed` events, a bounded number in each window."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._sums: dict[tuple[str, str, str], _Sum] = {}
        """Answers that were not told yet, by host, provider and model."""
        self._told = 0
        """The number of answers that were told in this window."""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, usage: Mapping[str, object], host: str, cost: int | None) -> None:
        """Take note of what one answer has consumed."""
        key = host, str(usage.get("provider") or ""), str(usage.get("model") or "")
        if self._timer is None:
            self._timer = self._run.loop.call_later(WINDOW_S, self.flush)
        if self._told < AT_ONCE:
            self._told += 1
            answer = _Sum()
            answer.add(usage, cost)
            self._emit(key, answer)
            return
        if key not in self._sums and len(self._sums) >= MAX_MODELS:
            key = ("", "", "")
        self._sums.setdefault(key, _Sum()).add(usage, cost)

    def flush(self) -> None:
        """Tell what was counted, and begin anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        sums, self._sums, self._told = self._sums, {}, 0
        for key, found in sums.items():
            self._emit(key, found)

    def _emit(self, key: tuple[str, str, str], found: _Sum) -> None:
        cost = round(found.cost / DOLLAR, 9) if found.priced else None
        self._run.emit(
            ModelUsed(*key, found.requests, found.tokens, found.output, found.estimated, cost)
        )


def _count(usage: Mapping[str, object], kind: str) -> int:
    count = usage.get(kind)
    return count if isinstance(count, int) else 0
