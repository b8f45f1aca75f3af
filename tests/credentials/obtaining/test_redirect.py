"""The authorization request, and its answer."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from moat.credentials.obtaining.redirect import Flow, StrayRequestError
from moat.credentials.obtaining.tokens import AuthorizationError
from moat.providers.recipe import OAuth

CLIENT = OAuth(
    client_id="c",
    token_url="https://x.example/token",
    authorize_url="https://x.example/authorize?a=b",
    scopes=("r", "w"),
    parameters={"prompt": "consent"},
)
URI = "http://127.0.0.1:7/callback"


def flow() -> Flow:
    return Flow(CLIENT, URI, verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", state="st")


def test_the_request_has_the_challenge_and_not_the_verifier() -> None:
    """The challenge is that of RFC 7636, appendix B; parameters of the page's own stay."""
    parts = urlsplit(flow().url)
    assert parse_qs(parts.query) == {
        "a": ["b"],
        "response_type": ["code"],
        "client_id": ["c"],
        "redirect_uri": [URI],
        "scope": ["r w"],
        "state": ["st"],
        "code_challenge": ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
        "code_challenge_method": ["S256"],
        "prompt": ["consent"],
    }
    assert flow().verifier not in flow().url


def test_each_flow_has_secrets_of_its_own() -> None:
    """State and verifier are long, new each time, and not shown."""
    one, other = Flow(CLIENT, URI), Flow(CLIENT, URI)
    assert one.state != other.state
    assert one.verifier != other.verifier
    assert 43 <= len(one.verifier) <= 128
    assert one.verifier not in repr(one)
    assert one.state not in repr(one)


@pytest.mark.parametrize("target", ["/callback?code=x&state=st", f"{URI}?state=st&code=x\n"])
def test_the_code_is_taken(target: str) -> None:
    """From the request, or from an address that the user has pasted."""
    assert flow().code_in(target) == "x"


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/callback",
        "/callback?code=x",
        "/callback?code=x&state=sT",
        "/other?code=x&state=st",
        "//callback?code=x&state=st",
        "",
        "/callback?code=x&state=s&state=st",
        "/callback?state=ö",
    ],
)
def test_strangers_are_told_apart(target: str) -> None:
    """Only the answer with our state, at our path, counts."""
    with pytest.raises(StrayRequestError):
        flow().code_in(target)


def test_a_refusal_is_told() -> None:
    """An answer with our state and no code is the end."""
    with pytest.raises(AuthorizationError, match="access_denied"):
        flow().code_in("/callback?state=st&error=access_denied")


def test_the_exchange_has_the_verifier() -> None:
    """The redirect's address is repeated exactly (RFC 6749, 4.1.3)."""
    assert flow().exchange("x") == {
        "grant_type": "authorization_code",
        "code": "x",
        "redirect_uri": URI,
        "code_verifier": flow().verifier,
    }
