"""The budget of a run, from the command line, the project and the user's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moat.config.budget import FIELDS, PRICES, assignments, join, parse_cost, prices
from moat.errors import UsageError
from moat.spec.budget import Budget, ModelPrice

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    ("words", "project", "own", "expected"),
    [
        ((), {}, {}, Budget()),
        (("tokens=2m", "cost=$5"), {}, {}, Budget(tokens=2_000_000, cost=5.0)),
        ((), {"requests": 9, "tokens": "1k"}, {"requests": "5k"}, Budget(requests=9, tokens=1000)),
        ((), {"requests": "9k"}, {"requests": 7, "bytes_out": "1m"},
            Budget(requests=7, bytes_out=1 << 20)),
        (("requests=1k",), {"requests": 9}, {"requests": 7}, Budget(requests=1000)),
        ((), {"on_limit": "ask"}, {"on_limit": "deny"}, Budget(on_limit="deny")),
        ((), {"on_limit": "stop"}, {"on_limit": "ask"}, Budget(on_limit="stop")),
        (("on_limit=ask",), {}, {"on_limit": "stop"}, Budget(on_limit="ask")),
    ],
)  # fmt: skip
def test_a_project_can_only_lower_what_the_user_allows(
    words: tuple[str, ...], project: Mapping[str, Any], own: Mapping[str, Any], expected: Budget
) -> None:
    """The lower amount and the stricter consequence of two files count; the command line wins."""
    assert join(words, project, own) == expected


@pytest.mark.parametrize(
    "word",
    [
        "tokens",
        "token=5",
        "tokens=",
        "tokens=-1",
        "cost=nan",
        "cost=0",
        "requests=1.5x",
        "on_limit=no",
    ],
)
def test_a_limit_that_cannot_be_read_is_an_error(word: str) -> None:
    """A limit is never overlooked."""
    with pytest.raises(UsageError):
        join((word,), {}, {})


def test_the_last_of_two_words_counts() -> None:
    """A repeated limit is like any other repeated option."""
    assert assignments(("tokens=1", "tokens=2")) == {"tokens": "2"}


@pytest.mark.parametrize(("text", "amount"), [("5", 5.0), ("0.50", 0.5), ("$1.25", 1.25)])
def test_costs_are_written_as_people_do(text: str, amount: float) -> None:
    """A dollar sign may stand before the amount."""
    assert parse_cost(text) == amount


@pytest.mark.parametrize("name", FIELDS)
def test_the_table_checks_each_amount(name: str) -> None:
    """A file with nonsense is refused when it is read."""
    check = FIELDS[name].check
    if check is not None:
        check(5)
        with pytest.raises(UsageError):
            check("lots")


def test_prices_are_the_users_own() -> None:
    """Names are compared in lower case, and a price without its parts is refused."""
    own = {"model": "My-Model*", "input": 1, "output": 2.5, "cache_read": 0.1}
    assert prices([own]) == (ModelPrice("my-model*", 1, 2.5, 0.1),)
    assert PRICES.each is not None
    for wrong in ({"model": "m", "input": 1}, {**own, "output": float("nan")}):
        with pytest.raises(ValueError):
            PRICES.each(wrong)
