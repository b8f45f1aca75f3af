"""Amounts as people write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.errors import UsageError
from moat.spec.units import parse_duration, parse_memory


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("512m", 512 << 20),
        ("2g", 2 << 30),
        ("2GiB", 2 << 30),
        ("1.5k", 1536),
        ("64kb", 64 << 10),
        ("1000", 1000),
        ("7b", 7),
    ],
)
def test_memory(text: str, expected: int) -> None:
    """Multiples are binary, however they are spelt."""
    assert parse_memory(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1m", "m", "1x", "12 m", "1ib", "bb", "nan", "inf"])
def test_what_is_no_amount_of_memory(text: str) -> None:
    """A typing error is an error and never another amount."""
    with pytest.raises(UsageError, match="not an amount of memory"):
        parse_memory(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10s", 10.0), ("2m", 120.0), ("1h30m", 5400.0), ("500ms", 0.5), ("3", 3.0), ("0", 0.0)],
)
def test_durations(text: str, expected: float) -> None:
    """Units add up, and a number without a unit is seconds."""
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "s", "-1s", "1h30", "1x", "1 s", "nan", "inf", "9" * 400])
def test_what_is_no_duration(text: str) -> None:
    """A typing error is an error and never another length."""
    with pytest.raises(UsageError, match="not a length of time"):
        parse_duration(text)


@given(st.text())
def test_any_text_is_an_amount_or_a_usage_error(text: str) -> None:
    """No input leads to another exception, or to an amount that isn't one."""
    with suppress(UsageError):
        assert parse_memory(text) > 0
    with suppress(UsageError):
        assert parse_duration(text) >= 0


@given(st.integers(1, 2**50))
def test_plain_bytes_are_kept(amount: int) -> None:
    """A number without a unit is exactly that many bytes."""
    assert parse_memory(str(amount)) == amount
