"""Sums of traffic by host and by language model. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moat.egress.traffic.schema import TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moat.egress.traffic.schema import Row

SHARES: Final = {"p50": 0.5, "p95": 0.95}
"""The percentiles of times that are shown."""


@dataclass(slots=True)
class HostTotal:
    host: str
    requests: int = 0
    """Requests and tunnels."""
    dns: int = 0
    """Questions for the name. A program asks several for one request."""
    denied: int = 0
    """Denied entries of all kinds."""
    failed: int = 0
    sent: int = 0
    received: int = 0
    times: list[int] = field(default_factory=list[int], repr=False)
    """Microseconds that completed requests and tunnels took, sorted; without those that were dropped."""

    def as_json(self) -> dict[str, Any]:
        """Return the public form (`moat trace --summary --json`)."""
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
    """Empty if neither the request nor the response names it."""
    requests: int = 0
    uncounted: int = 0
    """Requests without counts, because the response could not be read."""
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOKENS, 0))
    cost: float | None = None
    """US dollars, where somebody has computed them."""

    def as_json(self) -> dict[str, Any]:
        """Return the public form (`moat trace --llm --json`)."""
        return {
            "provider": self.provider,
            "model": self.model or None,
            "requests": self.requests,
            "uncounted": self.uncounted,
            **self.tokens,
            "cost": None if self.cost is None else round(self.cost, 6),
        }


def by_host(sums: Iterable[HostTotal], dropped: Iterable[HostTotal] = ()) -> list[HostTotal]:
    """Add the sums of rows that were dropped, and sort all in descending order of requests."""
    totals = {each.host: each for each in sums}
    for each in dropped:
        total = totals.setdefault(each.host, HostTotal(each.host))
        total.requests += each.requests
        total.dns += each.dns
        total.denied += each.denied
        total.failed += each.failed
        total.sent += each.sent
        total.received += each.received
    return sorted(totals.values(), key=lambda each: (-each.requests, each.host))


def by_model(rows: Iterable[Row], dropped: Iterable[ModelTotal] = ()) -> list[ModelTotal]:
    """Sum up rows by model, in descending order of tokens. `dropped`: sums to begin with."""
    totals = {(each.provider, each.model): each for each in dropped}
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


def percentile(times: Sequence[int], share: float) -> float | None:
    """Return a percentile, in seconds, of sorted microseconds; `None` if there are none.

    It is a time that occurred (nearest rank).
    """
    return times[min(len(times) - 1, int(len(times) * share))] / 1_000_000 if times else None
