"""Prices of the tokens of language models. Pure, but for the list that comes with Moat.

Amounts are whole numbers of a billionth of a dollar: a price for a million tokens has three decimals at
most, so one token costs a whole number of them, and sums are exact.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.spec.budget import ModelPrice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DOLLAR: Final = 1_000_000_000
"""A dollar, in the unit of all amounts here."""
_MILLION: Final = 1_000_000


class Prices:
    """Prices of models, of which the first that fits a name counts."""

    def __init__(self, prices: Iterable[ModelPrice]) -> None:
        self._prices = tuple(prices)

    def cost(self, model: str, tokens: Mapping[str, int]) -> int | None:
        """Return what tokens of each kind (`schema.TOKENS`) cost; `None` for a model without a price.

        Tokens that were only estimated (`estimated_tokens`) count as output, which is dearer.
        """
        name = model.lower().rpartition("/")[2]
        for each in self._prices:
            if name and fnmatchcase(name, each.model):
                return _cost(each, tokens)
        return None

    def highest(self, tokens: Mapping[str, int]) -> int:
        """Return what these tokens cost at the highest of all prices."""
        return max((_cost(each, tokens) for each in self._prices), default=0)


def with_shipped(own: Iterable[ModelPrice]) -> Prices:
    """Return the user's own prices before those that come with Moat."""
    return Prices((*own, *_shipped()))


@cache
def _shipped() -> tuple[ModelPrice, ...]:
    import tomllib  # noqa: PLC0415  most runs ask no model

    text = Path(__file__).with_name("prices.toml").read_text(encoding="utf-8")
    return tuple(ModelPrice(**each) for each in tomllib.loads(text)["price"])


def _cost(price: ModelPrice, tokens: Mapping[str, int]) -> int:
    rates = {
        "input_tokens": price.input,
        "cache_read_tokens": price.input if price.cache_read is None else price.cache_read,
        "cache_write_tokens": price.input if price.cache_write is None else price.cache_write,
        "output_tokens": price.output,
        "estimated_tokens": price.output,
    }
    return sum(
        round(rate * DOLLAR / _MILLION) * tokens.get(kind, 0) for kind, rate in rates.items()
    )
