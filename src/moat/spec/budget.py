"""The budget of a run: what it may use up over its network, and what follows then."""

from dataclasses import dataclass
from typing import Final, Literal

OnLimit = Literal["ask", "deny", "stop"]
ON_LIMIT: Final[tuple[OnLimit, ...]] = ("ask", "deny", "stop")
"""The consequences of a limit that is used up, from the loosest to the strictest."""

BUDGET_LIMITS: Final = ("requests", "bytes_out", "tokens", "cost")
"""The names of the limits, in the order in which they are looked at."""


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """The price of a language model, in US dollars for a million tokens."""

    model: str
    """A glob for the model's name, in lower case and without a vendor before a slash."""
    input: float
    output: float
    cache_read: float | None = None
    """`None`, as below: the price of input."""
    cache_write: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Upper bounds of what goes over a run's network in all; `None` where there is none."""

    requests: int | None = None
    """Requests that go upstream, and tunnels."""
    bytes_out: int | None = None
    """Bytes that go upstream: heads and bodies of requests, and all that a tunnel sends."""
    tokens: int | None = None
    """Tokens of language models, whatever their kind."""
    cost: float | None = None
    """US dollars that these tokens cost."""
    on_limit: OnLimit = "deny"
    """The consequence of a limit that is used up."""
    prices: tuple[ModelPrice, ...] = ()
    """The user's own prices, which come before those that Moat knows."""


NO_LIMITS: Final = Budget()
_UNITS: Final = {"requests": "requests", "bytes_out": "bytes sent", "tokens": "tokens"}


def in_words(limit: str, amount: float) -> str:
    """Return an amount of what a limit counts, as people write it: `2,000,000 tokens`."""
    if limit != "cost":
        return f"{amount:,.0f} {_UNITS.get(limit, limit)}"
    return f"${amount:,.2f}" if round(amount, 2) == amount else f"${amount:.6g}"
