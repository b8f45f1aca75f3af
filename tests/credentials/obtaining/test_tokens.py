"""What a token endpoint is asked, and what it answers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from moat.credentials.obtaining.tokens import AuthorizationError, encoded, tokens_in
from moat.providers.recipe import OAuth

CLIENT = OAuth(client_id="c", token_url="https://x.example/token")


def test_a_request_is_a_form_or_json() -> None:
    """The client is named, with what some providers call its secret."""
    headers, body = encoded(CLIENT, {"code": "a b"})
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert headers["Accept"] == "application/json"
    assert parse_qs(body.decode()) == {"client_id": ["c"], "code": ["a b"]}
    headers, body = encoded(replace(CLIENT, json_body=True, client_secret="s"), {"code": "x"})
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"client_id": "c", "client_secret": "s", "code": "x"}


@pytest.mark.parametrize("lifetime", [3600, 3600.0, "03600"])
def test_tokens_are_read(lifetime: object) -> None:
    """A lifetime begins now, also where a provider gives it as text."""
    answer = {"access_token": "a", "refresh_token": "r", "expires_in": lifetime, "scope": "x y"}
    tokens = tokens_in(answer, 1000.0)
    assert tokens.fields == {"token": "a", "refresh_token": "r"}
    assert tokens.scopes == "x y"
    assert tokens.expires_at == 4600.0
    assert "'a'" not in repr(tokens)


@pytest.mark.parametrize(
    "lifetime",
    [None, "soon", -1, 0, [], True, float("inf"), float("nan"), 10**400, "9" * 400, "9" * 5000],
    ids=str,
)
def test_a_lifetime_that_is_none_is_left_out(lifetime: object) -> None:
    """A token without a known end is taken."""
    assert tokens_in({"access_token": "a", "expires_in": lifetime}, 0.0).expires_at is None


@pytest.mark.parametrize(
    "answer",
    [{}, {"access_token": ""}, {"access_token": 1}, {"error": "invalid_grant"}, {"error": [1]}],
)
def test_an_answer_without_a_token_is_a_refusal(answer: dict[str, Any]) -> None:
    """The provider's own words are in the error."""
    with pytest.raises(AuthorizationError) as caught:
        tokens_in(answer, 0.0)
    assert str(answer.get("error", "no token")).strip("[]1") in caught.value.summary


@pytest.mark.parametrize("token", ["a\r\nX-Other: 1", "\ud800", "ü", "a" * 70_000], ids=ascii)
@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_a_token_that_no_request_can_carry_is_refused(name: str, token: str) -> None:
    """It would end up in a header field, or in a vault that can't read it."""
    with pytest.raises(AuthorizationError, match="no request can carry") as caught:
        tokens_in({"access_token": "a", name: token}, 0.0)
    assert token not in str(caught.value)


def test_a_refusal_for_others_than_the_user_has_no_words_of_the_provider() -> None:
    """A provider may repeat what it was sent; of its words there are the codes of the standard."""
    for answer in ({"error": "invalid_grant", "error_description": "s3cret"}, {"error": "s3cret"}):
        with pytest.raises(AuthorizationError) as caught:
            tokens_in(answer, 0.0, quoted=False)
        assert "s3cret" not in str(caught.value)
        assert answer["error"] in {caught.value.summary.rpartition(": ")[2], "s3cret"}
