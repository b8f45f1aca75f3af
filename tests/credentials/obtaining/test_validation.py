"""What the provider's answer to a credential means."""

from __future__ import annotations

from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from moat.credentials.obtaining.http import UnreachableError
from moat.credentials.obtaining.obtained import Obtained
from moat.credentials.obtaining.validation import CredentialRefusedError, check_form, validated
from moat.providers.recipe import Recipe, Typed, Validation

if TYPE_CHECKING:
    from tests.oauth_server import OAuthServer

TOKEN = "a-token-that-nobody-may-see"


def obtained(**changes: object) -> Obtained:
    found = Obtained(fields={"token": TOKEN}, source="env", origin="EXAMPLE_TOKEN")
    return replace(found, **changes)


def test_a_good_credential_says_whose_it_is(provider: OAuthServer, recipe: Recipe) -> None:
    """The account and the scopes are taken from the answer."""
    provider.accepted.add(TOKEN)
    assert validated(recipe, obtained()).attributes == {"account": "octo", "scopes": "repo user"}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "it has expired, was revoked, or is mistyped"),
        (403, "doesn't allow it even the test"),
        (404, "it may be of another kind"),
        (302, "could not say"),
        (500, "could not say"),
        (429, "could not say"),
    ],
)
def test_a_refusal_says_why(provider: OAuthServer, recipe: Recipe, status: int, words: str) -> None:
    """Each kind of answer has its own line, which names the place and not the secret."""
    provider.answers["/user"] = (status, {"Location": f"{provider.url}/x"}, TOKEN.encode())
    with pytest.raises(CredentialRefusedError, match=words) as caught:
        validated(recipe, obtained())
    assert TOKEN not in str(caught.value)
    assert "EXAMPLE_TOKEN" in caught.value.summary
    assert len(provider.requests) == 1


def test_a_missing_scope_is_named(provider: OAuthServer, recipe: Recipe) -> None:
    """A credential that works and lacks what runs need isn't taken."""
    provider.answers["/user"] = (200, {"X-OAuth-Scopes": "user, gist"}, b"{}")
    with pytest.raises(CredentialRefusedError, match="lacks the scope repo"):
        validated(recipe, obtained())


@pytest.mark.parametrize(("offset", "words"), [(7200, "behind"), (-7200, "ahead")])
def test_a_wrong_clock_is_told(
    provider: OAuthServer, recipe: Recipe, offset: float, words: str
) -> None:
    """A refusal by a server with another time blames the clock."""
    now = 1_800_000_000.0
    provider.answers["/user"] = (401, {"Date": formatdate(now + offset, usegmt=True)}, b"")
    with pytest.raises(CredentialRefusedError, match=f"120 minutes {words}"):
        validated(recipe, obtained(), now)


def test_an_expired_credential_is_not_even_asked_about(
    provider: OAuthServer, recipe: Recipe
) -> None:
    """The age is told; nothing is sent."""
    with pytest.raises(CredentialRefusedError, match="has expired 5 hours ago"):
        validated(recipe, obtained(expires_at=1_000_000.0), 1_000_000.0 + 5 * 3600)
    assert not provider.requests


def test_an_expired_credential_that_can_be_refreshed_is_taken(
    provider: OAuthServer, recipe: Recipe
) -> None:
    """Its refresh token counts, which only a refresh could try."""
    found = obtained(expires_at=1.0, fields={"token": TOKEN, "refresh_token": "r"})
    assert validated(recipe, found) == found
    assert not provider.requests


@pytest.mark.parametrize("secret", ["a\r\nX-Evil: 1", "a\x00b", "a\nb", "a\x1bb"])
def test_a_secret_that_would_split_a_header_is_refused(recipe: Recipe, secret: str) -> None:
    """Control characters in a secret are no part of it, and aren't quoted."""
    with pytest.raises(CredentialRefusedError, match="control characters") as caught:
        check_form(recipe, obtained(fields={"token": secret}))
    assert secret not in str(caught.value)


def test_keys_may_have_lines() -> None:
    """A field that is said to have several lines may."""
    recipe = Recipe(provider="x", title="X", typed=(Typed(name="private_key", multiline=True),))
    check_form(recipe, obtained(fields={"private_key": "-----BEGIN\nx\n"}))


def test_a_missing_field_is_named(recipe: Recipe) -> None:
    """What was typed must be whole."""
    with pytest.raises(CredentialRefusedError, match="the token is missing"):
        check_form(recipe, obtained(fields={}, source="stdin"))


def test_basic_and_fields_are_put_in(provider: OAuthServer, recipe: Recipe) -> None:
    """A template may have fields, attributes, and the Basic form of two of them."""
    validation = Validation(
        url=f"{provider.url}/user?region={{region}}",
        headers={"Authorization": "Bearer {basic:{user}:{token}}"},
    )
    provider.accepted.add("bWU6YS10b2tlbi10aGF0LW5vYm9keS1tYXktc2Vl")
    found = obtained(attributes={"region": "eu", "user": "me"})
    assert validated(replace(recipe, validation=validation), found) == found
    assert provider.requests == [("/user", {"region": "eu"})]


def test_a_provider_that_is_not_there_is_told(recipe: Recipe) -> None:
    """Without an answer nothing is known, and the error says what failed."""
    validation = Validation(url="https://localhost:1/")
    with pytest.raises(UnreachableError, match="localhost can't be reached"):
        validated(replace(recipe, validation=validation), obtained())
