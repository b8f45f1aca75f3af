"""Counts of what a run has used up, compared with its limits. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from moat.egress.budget.prices import DOLLAR
from moat.egress.traffic.schema import SPENT, TOKENS
from moat.spec.budget import BUDGET_LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.egress.budget.prices import Prices

MODELS_AT_ONCE: Final = 16
"""Requests to models that may be under way while tokens or their cost are limited.

Only a response says what it has consumed, so no more than these can be beyond a limit.
"""
TOO_MANY_MODELS: Final = "models at once"
"""Stands for a limit where so many requests are under way."""
_MOST: Final = (1 << 63) - 1


class Spent:
    """Counts of what was used up so far."""

    def __init__(self, stored: Mapping[str, int]) -> None:
        """`stored`: the counts of earlier supervisors, by their names in the database."""
        counts = [stored.get(name, 0) for name in SPENT]
        self.requests: int = counts[0]
        self.bytes_out: int = counts[1]
        self.tokens: int = counts[2]
        self.cost: int = counts[3]
        """Billionths of a dollar, of models with a price."""
        self.unpriced_tokens: int = counts[4]
        """The tokens of models without a price, which are among `tokens`."""
        self.unpriced_cost: int = counts[5]
        """The cost of these at the highest price: a limit has to hold for them, too."""

    def stored(self) -> tuple[int, ...]:
        """Return the counts in the order of `SPENT`."""
        counts = (
            self.requests,
            self.bytes_out,
            self.tokens,
            self.cost,
            self.unpriced_tokens,
            self.unpriced_cost,
        )
        # A hostile server may name any numbers, and SQLite has 64 bits.
        return tuple(min(each, _MOST) for each in counts)

    def of(self, limit: str) -> float:
        """Return what counts toward a limit: a number of things, or dollars in whole cents."""
        if limit == "cost":
            return math.ceil((self.cost + self.unpriced_cost) * 100 / DOLLAR) / 100
        return getattr(self, limit)

    def as_json(self) -> dict[str, Any]:
        """Return the public form: `cost` in dollars, without tokens whose price isn't known."""
        return {
            "requests": self.requests,
            "bytes_out": self.bytes_out,
            "tokens": self.tokens,
            "cost": round(self.cost / DOLLAR, 6),
            "unpriced_tokens": self.unpriced_tokens,
        }


class Spending:
    """Counts, and the limits in force."""

    def __init__(self, spent: Spent) -> None:
        self.spent = spent
        self.models: int = 0
        """Requests to models that are under way."""
        self._requests: int = -1
        """The limits; negative for none."""
        self._bytes_out: int = -1
        self._tokens: int = -1
        self._cost: int = -1

    def limit(self, amounts: Mapping[str, float | None]) -> None:
        """Bring limits into force, in place of all before."""
        numbers = [-1, -1, -1, -1]
        for place, name in enumerate(BUDGET_LIMITS):
            amount = amounts.get(name)
            if amount is not None:
                numbers[place] = round(amount * DOLLAR) if name == "cost" else int(amount)
        self._requests, self._bytes_out, self._tokens, self._cost = numbers

    @property
    def limits_bytes(self) -> bool:
        return self._bytes_out >= 0

    @property
    def used_up(self) -> str:
        """The name of the first limit that leaves nothing; empty where each leaves something."""
        spent = self.spent
        if 0 <= self._requests <= spent.requests:
            return "requests"
        if 0 <= self._bytes_out <= spent.bytes_out:
            return "bytes_out"
        if 0 <= self._tokens <= spent.tokens:
            return "tokens"
        if 0 <= self._cost <= spent.cost + spent.unpriced_cost:
            return "cost"
        return ""

    def charge(self, size: int, *, announced: int, model: bool) -> str:
        """Count a request that is about to go upstream, or return the name of the limit against it.

        `size`: bytes of its head, `announced`: those that will follow. `model`: a language model is
        asked, so a call of `answered` follows.
        """
        against = self.used_up
        if against:
            return against
        if self._bytes_out >= 0 and self.spent.bytes_out + size + announced > self._bytes_out:
            return "bytes_out"
        if model:
            limited = self._tokens >= 0 or self._cost >= 0
            if limited and self.models >= MODELS_AT_ONCE:
                return TOO_MANY_MODELS
            self.models += 1
        self.spent.requests += 1
        self.spent.bytes_out += size
        return ""

    def send(self, size: int) -> bool:
        """Count bytes that are about to go upstream; tell whether they may."""
        if 0 <= self._bytes_out < self.spent.bytes_out + size:
            return False
        self.spent.bytes_out += size
        return True

    def answered(self, usage: Mapping[str, object] | None, prices: Prices) -> int | None:
        """Count what a model's response has consumed; `None`: there was none.

        Return its cost, or `None` where it isn't known.
        """
        self.models -= 1
        if usage is None:
            return 0
        tokens = {
            kind: count
            for kind in (*TOKENS, "estimated_tokens")
            if isinstance(count := usage.get(kind), int)
        }
        total = sum(tokens.values())
        if not total:
            return 0
        self.spent.tokens += total
        cost = prices.cost(str(usage.get("model") or ""), tokens)
        if cost is None:
            self.spent.unpriced_tokens += total
            self.spent.unpriced_cost += prices.highest(tokens)
        else:
            self.spent.cost += cost
        return cost
