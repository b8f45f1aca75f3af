"""Sums over a record: by host, and by language model. Pure."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moat.egress.record_rows import Row

TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


@dataclass(slots=True)
class HostTotal:
    host: str
    requests: int = 0
    """Of every kind: DNS questions, too."""
    denied: int = 0
    failed: int = 0
    sent: int = 0
    received: int = 0
    times: array[float] = field(default_factory=lambda: array("d"), repr=False)
    """Seconds that the exchanges and tunnels took that were allowed and have ended; sorted."""


@dataclass(slots=True)
class ModelTotal:
    provider: str
    model: str
    requests: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOKENS, 0))


def by_host(rows: Iterable[Row]) -> list[HostTotal]:
    """The busiest first."""
    totals: dict[str, HostTotal] = {}
    for row in rows:
        total = totals.setdefault(row.host, HostTotal(row.host))
        total.requests += 1
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
        for kind in TOKENS:
            count = usage.get(kind)
            total.tokens[kind] += count if isinstance(count, int) else 0
    return sorted(totals.values(), key=lambda each: (-sum(each.tokens.values()), each.model))


def percentile(times: Sequence[float], share: float) -> float | None:
    """The nearest rank of sorted times; `None` of none."""
    return times[min(len(times) - 1, int(len(times) * share))] if times else None
