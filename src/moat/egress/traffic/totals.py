"""Sums over a record: by host, and by language model. Pure."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moat.egress.traffic.schema import Row

TOKENS: Final = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
"""What `usage` counts alike for all providers; together they are all that was taken."""
SHARES: Final = {"p50": 0.5, "p95": 0.95}
"""Of the times that are told."""


@dataclass(slots=True)
class HostTotal:
    host: str
    requests: int = 0
    """And tunnels: what has gone there, or was to go."""
    dns: int = 0
    """Questions for its name. A program asks several for one request."""
    denied: int = 0
    """Of everything: requests, tunnels, questions, and what no socket was there for."""
    failed: int = 0
    sent: int = 0
    received: int = 0
    times: array[float] = field(default_factory=lambda: array("d"), repr=False)
    """Seconds that the exchanges and tunnels took that were allowed and have ended; sorted."""

    def as_json(self) -> dict[str, Any]:
        """The public shape: `moat trace --summary --json`."""
        return {
            "host": self.host,
            "requests": self.requests,
            "dns": self.dns,
            "denied": self.denied,
            "failed": self.failed,
            "sent": self.sent,
            "received": self.received,
            "durations": {name: percentile(self.times, share) for name, share in SHARES.items()},
        }


@dataclass(slots=True)
class ModelTotal:
    provider: str
    model: str
    """Empty where neither the request nor the response has told it."""
    requests: int = 0
    uncounted: int = 0
    """Of which no tokens are known: the response could not be read."""
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOKENS, 0))

    def as_json(self) -> dict[str, Any]:
        """The public shape: `moat trace --llm --json`."""
        return {
            "provider": self.provider,
            "model": self.model or None,
            "requests": self.requests,
            "uncounted": self.uncounted,
            **self.tokens,
        }


def by_host(rows: Iterable[Row]) -> list[HostTotal]:
    """The busiest first."""
    totals: dict[str, HostTotal] = {}
    for row in rows:
        total = totals.setdefault(row.host, HostTotal(row.host))
        total.requests += row.kind in ("request", "tunnel")
        total.dns += row.kind == "dns"
        total.denied += row.verdict == "denied"
        total.failed += row.verdict == "failed"
        total.sent += row.sent
        total.received += row.received
        if row.kind != "dns" and row.verdict == "allowed" and row.total >= 0:
            total.times.append(row.total)
    for total in totals.values():
        total.times = array("d", sorted(total.times))
    return sorted(totals.values(), key=lambda each: (-each.requests, each.host))


def by_model(rows: Iterable[Row]) -> list[ModelTotal]:
    """Those with the most tokens first."""
    totals: dict[tuple[str, str], ModelTotal] = {}
    for row in rows:
        usage: dict[str, object] = json.loads(row.usage or "{}")
        name = str(usage.get("provider") or ""), str(usage.get("model") or "")
        total = totals.setdefault(name, ModelTotal(*name))
        total.requests += 1
        counts = {kind: count for kind in TOKENS if isinstance(count := usage.get(kind), int)}
        total.uncounted += not counts
        for kind, count in counts.items():
            total.tokens[kind] += count
    return sorted(totals.values(), key=lambda each: (-sum(each.tokens.values()), each.model))


def percentile(times: Sequence[float], share: float) -> float | None:
    """The nearest rank of sorted times; `None` of none."""
    return times[min(len(times) - 1, int(len(times) * share))] if times else None
