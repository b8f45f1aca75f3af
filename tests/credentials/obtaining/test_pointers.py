"""Values inside documents, and times."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.credentials.obtaining.pointers import (
    expiry_of_jwt,
    moment,
    texts_at,
    time_at,
    value_at,
)

DOCUMENT = {"a": {"b": "x", "n": 7, "yes": True, "empty": ""}, "h/i": {"j": "y"}, "l": [1]}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("a/b", "x"),
        ("h~1i/j", "y"),
        ("h~1i/*", "y"),
        ("a/*", None),
        ("a/z", None),
        ("a/b/c", None),
        ("l/0", None),
        ("", DOCUMENT),
    ],
)
def test_a_pointer_leads_to_a_value(pointer: str, value: object) -> None:
    """Keys are followed through objects, and nowhere else."""
    assert value_at(DOCUMENT, pointer) == value


def test_only_texts_are_taken() -> None:
    """Numbers become text; what is empty, or no text, isn't there."""
    pointers = {"b": "a/b", "n": "a/n", "yes": "a/yes", "empty": "a/empty", "l": "l", "z": "z"}
    assert texts_at(DOCUMENT, pointers) == {"b": "x", "n": "7"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1_700_000_000, 1_700_000_000.0),
        (1_700_000_000_123, 1_700_000_000.123),
        ("1700000001", 1_700_000_001.0),
        ("2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("2023-11-14T23:13:20.5+01:00", 1_700_000_000.5),
        ("2023-11-14", 1_699_920_000.0),
        (datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), 1_700_000_000.0),
        (datetime(2023, 11, 14, 22, 13, 20), 1_700_000_000.0),  # noqa: DTZ001  as YAML gives it
        (True, None),
        (None, None),
        ("", None),
        ("soon", None),
        ([], None),
    ],
)
def test_times_have_many_forms(value: object, seconds: float | None) -> None:
    """Seconds, milliseconds and RFC 3339 are the same moment."""
    assert moment(value) == seconds
    assert time_at({"x": value}, "x") == seconds
    assert time_at({"x": value}, "") is None


def _jwt(payload: bytes) -> str:
    return f"h.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.s"


def test_a_jwt_says_when_it_ends() -> None:
    """The claim is read, whatever the padding."""
    for length in range(4):
        payload = json.dumps({"exp": 1_700_000_000, "pad": "x" * length}).encode()
        assert expiry_of_jwt(_jwt(payload)) == 1_700_000_000.0


@given(st.text() | st.binary().map(_jwt))
def test_other_tokens_say_nothing(token: str) -> None:
    """A token may be anything."""
    assert expiry_of_jwt(token) is None
