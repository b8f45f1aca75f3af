"""Counts of what a run has used up, compared with its limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.budget.prices import DOLLAR, Prices
from moat.egress.budget.spending import MODELS_AT_ONCE, TOO_MANY_MODELS, Spending, Spent
from moat.egress.traffic.schema import SPENT
from moat.spec.budget import ModelPrice

PRICES = Prices([ModelPrice("m", 1.0, 2.0)])
USAGE = {"model": "m", "input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 3}


def spending(**limits: float | None) -> Spending:
    made = Spending(Spent({}))
    made.limit(limits)
    return made


def charge(run: Spending, size: int = 0, announced: int = 0, *, model: bool = False) -> str:
    return run.charge(size, announced=announced, model=model)


def test_a_run_without_limits_is_counted_and_never_held_up() -> None:
    """The counts are shown of every run."""
    run = spending()
    for _ in range(100):
        assert charge(run, 7, model=True) == ""
        assert run.send(1 << 30)
    assert run.spent.requests == 100
    assert run.spent.bytes_out == 100 * (7 + (1 << 30))


@given(limit=st.integers(1, 50), asked=st.integers(0, 100))
def test_no_request_passes_beyond_its_limit(limit: int, asked: int) -> None:
    """Exactly as many as may, however many are asked for."""
    run = spending(requests=limit)
    passed = [charge(run) for _ in range(asked)].count("")
    assert passed == min(limit, asked) == run.spent.requests


@given(
    limit=st.integers(1, 1000),
    steps=st.lists(st.tuples(st.integers(0, 300), st.lists(st.integers(0, 300), max_size=4))),
)
def test_no_byte_passes_beyond_its_limit(limit: int, steps: list[tuple[int, list[int]]]) -> None:
    """Heads and bodies count together, in whatever pieces they come."""
    run, passed = spending(bytes_out=limit), 0
    for head, pieces in steps:
        if charge(run, head) == "":
            passed += head
            passed += sum(size for size in pieces if run.send(size))
    assert passed == run.spent.bytes_out <= limit


def test_a_body_that_is_announced_too_long_is_not_begun() -> None:
    """So its client can wait for the user before it has sent a byte."""
    run = spending(bytes_out=100)
    assert charge(run, 20, 90) == "bytes_out"
    assert run.spent.bytes_out == 0
    assert charge(run, 20, 80) == ""


def test_tokens_are_those_of_every_kind() -> None:
    """Tokens from a cache, and estimated ones, count like the others."""
    run = spending(tokens=20)
    assert charge(run, model=True) == ""
    assert run.answered({**USAGE, "estimated_tokens": 2}, PRICES) == 10_000 + 10_000 + 3_000 + 4_000
    assert run.spent.tokens == 20
    assert charge(run) == charge(run, model=True) == "tokens"


def test_a_cost_is_limited_whether_the_price_is_known_or_not() -> None:
    """Tokens of a model without a price count at the highest one, and aren't shown as a cost."""
    run = spending(cost=0.01)
    charge(run, model=True)
    assert run.answered({"model": "?", "output_tokens": 4999}, PRICES) is None
    assert (run.spent.cost, run.spent.unpriced_tokens) == (0, 4999)
    assert charge(run, model=True) == ""
    assert run.answered({"model": "m", "output_tokens": 1}, PRICES) == 2000
    assert charge(run) == "cost"
    assert run.spent.as_json()["cost"] == 0.000002


@pytest.mark.parametrize("limit", ["tokens", "cost"])
def test_so_many_models_answer_at_once_and_no_more(limit: str) -> None:
    """The excess is bounded, because only an answer says what it has consumed."""
    run = spending(**{limit: 1_000_000})
    assert {charge(run, model=True) for _ in range(MODELS_AT_ONCE)} == {""}
    assert charge(run, model=True) == TOO_MANY_MODELS
    assert charge(run) == "", "other requests go on"
    run.answered(None, PRICES)
    assert charge(run, model=True) == ""


def test_the_counts_outlive_their_supervisor() -> None:
    """The next supervisor begins with the counts that were stored."""
    run = spending()
    charge(run, 11, model=True)
    run.answered({**USAGE, "model": "?"}, PRICES)
    stored = dict(zip(SPENT, run.spent.stored(), strict=True))
    assert Spent(stored).stored() == run.spent.stored()
    assert Spent(stored).as_json() == {
        "requests": 1,
        "bytes_out": 11,
        "tokens": 18,
        "cost": 0.0,
        "unpriced_tokens": 18,
    }


def test_absurd_numbers_can_be_stored() -> None:
    """SQLite has 64 bits, and a hostile server names any numbers."""
    run = spending()
    for _ in range(5):
        run.models += 1
        run.answered({"model": "m", "output_tokens": 1 << 62}, PRICES)
    assert max(run.spent.stored()) < 1 << 63


def test_a_limit_can_be_changed_and_taken_away() -> None:
    """The counts stay as they are."""
    run = spending(requests=1, cost=1.0)
    charge(run)
    run.limit({"requests": 2, "cost": 1.0})
    assert run.used_up == ""
    run.spent.cost = DOLLAR
    assert run.used_up == "cost"
    run.limit({"requests": None, "cost": None})
    assert run.used_up == ""
