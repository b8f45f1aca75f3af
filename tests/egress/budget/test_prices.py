"""Prices of the tokens of language models."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.budget.prices import DOLLAR, Prices, with_shipped
from moat.egress.traffic.schema import TOKENS
from moat.spec.budget import ModelPrice

MILLION = 1_000_000
COUNTS = st.dictionaries(st.sampled_from((*TOKENS, "estimated_tokens")), st.integers(0, 1 << 40))


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("claude-sonnet-4-5-20250929", 18.0),
        ("claude-opus-4-1-20250805", 90.0),
        ("claude-opus-4-5", 30.0),
        ("anthropic/claude-sonnet-4.5", 18.0),
        ("gpt-5-mini", 2.25),
        ("GPT-4o-mini-2024-07-18", 0.75),
        ("gemini-2.5-flash-lite", 0.5),
        ("gemini-2.5-flash", 2.8),
        ("my-own-model", None),
        ("", None),
    ],
)
def test_a_million_tokens_cost_the_list_price(model: str, dollars: float | None) -> None:
    """Dated names and names behind a vendor's have it too; a model that isn't listed has none."""
    cost = with_shipped(()).cost(model, {"input_tokens": MILLION, "output_tokens": MILLION})
    assert cost == (None if dollars is None else round(dollars * DOLLAR))


def test_the_users_prices_come_first() -> None:
    """They add models, and replace prices that have changed."""
    own = (ModelPrice("gpt-5*", 1.0, 1.0), ModelPrice("mine", 0.001, 0.0))
    prices = with_shipped(own)
    assert prices.cost("gpt-5-mini", {"output_tokens": MILLION}) == DOLLAR
    assert prices.cost("mine", {"input_tokens": 1}) == 1


def test_a_cache_without_a_price_costs_what_input_does() -> None:
    """A cost is rather too high than too low."""
    prices = Prices([ModelPrice("m", 2.0, 4.0, cache_read=0.5)])
    assert prices.cost("m", {"cache_read_tokens": MILLION}) == DOLLAR // 2
    assert prices.cost("m", {"cache_write_tokens": MILLION}) == 2 * DOLLAR
    assert prices.cost("m", {"estimated_tokens": MILLION}) == 4 * DOLLAR


@given(one=COUNTS, other=COUNTS)
def test_sums_are_exact(one: dict[str, int], other: dict[str, int]) -> None:
    """The cost of two answers is that of both together, and no cost is above the highest."""
    prices = with_shipped(())
    both = {kind: one.get(kind, 0) + other.get(kind, 0) for kind in (*TOKENS, "estimated_tokens")}
    costs = [prices.cost("claude-sonnet-4-5", each) for each in (one, other, both)]
    assert [each for each in costs if each is None] == []
    assert sum(costs[:2]) == costs[2] <= prices.highest(both)
