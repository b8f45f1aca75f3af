"""Placeholders have the shape of what they stand for, and no two are the same."""

from __future__ import annotations

import base64
import json
import re

import pytest

from moat.providers.placeholders import check_shape, placeholder


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("ghp_{alnum:36}", r"ghp_[A-Za-z0-9]{36}"),
        ("AKIA{base32:16}", r"AKIA[A-Z2-7]{16}"),
        ("{digits:10}:{hex:35}", r"[0-9]{10}:[0-9a-f]{35}"),
        ("{uuid}", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ],
)
def test_a_placeholder_has_its_shape(shape: str, expected: str) -> None:
    """SDKs refuse a key of another length or alphabet before they send it."""
    check_shape(shape)
    assert re.fullmatch(expected, placeholder(shape))
    assert placeholder(shape) != placeholder(shape)


def test_a_token_has_the_claims_that_programs_read() -> None:
    """Codex reads the account out of the payload, which it doesn't verify."""
    head, payload, signature = placeholder("{jwt}", '{"exp": 4102444800}').split(".")
    decoded = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert decoded["exp"] == 4102444800
    assert head
    assert signature


@pytest.mark.parametrize(
    "shape", ["", "token", "{alnum:3}", "{alnum}", "{x:9}", "a b{hex:32}", "{"]
)
def test_a_shape_that_stands_for_nothing_is_refused(shape: str) -> None:
    """A placeholder that could be there by chance would be replaced where it isn't meant."""
    with pytest.raises(ValueError):
        check_shape(shape)
