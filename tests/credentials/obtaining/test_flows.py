"""OAuth with a browser and with a device code, against a provider that checks."""

from __future__ import annotations

import ssl
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import pytest

from moat.credentials.obtaining import browser, device, http
from moat.credentials.obtaining.tokens import AuthorizationError
from moat.errors import MoatError, UsageError

if TYPE_CHECKING:
    from tests.oauth_server import OAuthServer

    from moat.credentials.obtaining.obtained import Obtained
    from moat.providers.recipe import OAuth


class Browser:
    """A user's browser, which follows redirects in a thread of its own."""

    def __init__(self, *before: str) -> None:
        """`before`: targets that somebody asks for at the loopback port before the answer comes."""
        self._before = before
        self.statuses: list[int] = []
        self.pages: list[bytes] = []
        self.threads: list[threading.Thread] = []

    def visit(self, url: str) -> None:
        self.threads.append(threading.Thread(target=self._visit, args=(url,)))
        self.threads[-1].start()

    def _visit(self, url: str) -> None:
        redirect = _redirect_of(url)
        origin = redirect[: redirect.index("/callback")]
        for target in self._before:
            self._get(origin + target)
        self._get(redirect)

    def _get(self, url: str) -> None:
        try:
            with urllib.request.urlopen(url) as response:
                self.statuses.append(response.status)
                self.pages.append(response.read())
        except urllib.error.HTTPError as exc:
            self.statuses.append(exc.code)
            exc.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.threads:
            each.join()


def _redirect_of(url: str) -> str:
    answer = http.request("GET", url, {})
    assert answer.status == 302
    return answer.headers["Location"]


def by_browser(client: OAuth, *before: str) -> tuple[Obtained, Browser]:
    with Browser(*before) as user:
        return browser.authorize(client, user.visit), user


@pytest.fixture(autouse=True)
def _no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def test_a_browser_brings_tokens(provider: OAuthServer, client: OAuth) -> None:
    """The code that the browser brings is exchanged with its verifier, and the tokens are whole."""
    found, user = by_browser(client)
    assert found.fields["token"] in provider.accepted
    assert found.fields.keys() == {"token", "refresh_token"}
    assert found.attributes == {"scopes": "repo user"}
    assert found.expires_at is not None
    assert 3500 < found.expires_at - time.time() <= 3600
    assert user.statuses == [200]
    (asked,) = provider.parameters("/authorize")
    assert asked["scope"] == "repo user"
    assert asked["redirect_uri"].startswith("http://127.0.0.1:")
    assert len(provider.parameters("/token")[0]["code_verifier"]) >= 43


@pytest.mark.parametrize(
    "stray",
    [
        "/favicon.ico",
        "/callback",
        "/callback?code=stolen",
        "/callback?code=stolen&state=guessed",
        "/callback?error=access_denied&state=",
        "/callback?state=%ff&code=x",
    ],
)
def test_whoever_comes_without_the_state_is_sent_away(client: OAuth, stray: str) -> None:
    """A page that guesses the port can neither give a code of its own nor end the flow."""
    found, user = by_browser(client, stray)
    assert user.statuses == [404, 200]
    assert found.fields["token"]


def test_no_page_shows_the_code(client: OAuth) -> None:
    """What the browser shows and keeps in its history holds no token."""
    found, user = by_browser(client)
    assert all(secret.encode() not in user.pages[0] for secret in found.fields.values())


def test_a_verifier_of_another_flow_gets_nothing(
    provider: OAuthServer, client: OAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that checks PKCE refuses, and the error says so without the code."""
    monkeypatch.setattr("moat.credentials.obtaining.redirect.challenge_of", lambda _: "x" * 43)
    with pytest.raises(AuthorizationError, match="invalid_grant"):
        by_browser(client)


def test_a_user_who_declines_ends_it(provider: OAuthServer, client: OAuth) -> None:
    """The refusal comes with our state, and its words are in the error."""

    def decline(url: str) -> None:
        redirect = _redirect_of(url)
        base, _, query = redirect.partition("?")
        state = query.partition("state=")[2]
        refused = f"{base}?error=access_denied&error_description=No%1b[31m&state={state}"
        thread = threading.Thread(target=lambda: urllib.request.urlopen(refused).close())
        thread.start()
        threads.append(thread)

    threads: list[threading.Thread] = []
    with pytest.raises(AuthorizationError) as caught:
        browser.authorize(client, decline)
    for each in threads:
        each.join()
    assert "access_denied: No\\x1b[31m" in caught.value.summary


def test_a_port_that_is_taken_is_named(client: OAuth) -> None:
    """A client with a registered port says who is in the way."""
    with browser._Server(client) as other:
        taken = replace(client, redirect_port=other.port)
        with pytest.raises(UsageError, match=f"port {other.port} is needed"):
            browser.authorize(taken, lambda _: None)


def test_a_device_code_brings_tokens(provider: OAuthServer, client: OAuth) -> None:
    """The provider is asked at the pace that it sets, until the user has confirmed the code."""
    provider.device_answers = ["authorization_pending", "slow_down", "authorization_pending"]
    told: list[device.Invitation] = []
    pauses: list[float] = []
    found = device.authorize(client, told.append, pause=pauses.append)
    assert told == [device.Invitation(f"{provider.url}/activate", "ABCD-EFGH")]
    assert pauses == [7, 7, 12, 12]
    assert found.fields["token"] in provider.accepted
    assert found.source == "device"


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "unsupported_grant_type"])
def test_a_refused_device_code_ends_it(provider: OAuthServer, client: OAuth, error: str) -> None:
    """Every other error than those about waiting is the end."""
    provider.device_answers = ["authorization_pending", error]
    with pytest.raises(AuthorizationError, match=error):
        device.authorize(client, lambda _: None, pause=lambda _: None)


def test_a_device_code_that_nobody_confirms_runs_out(provider: OAuthServer, client: OAuth) -> None:
    """The waiting ends with the code, whatever the provider still says."""
    provider.device_answers = ["authorization_pending"] * 1000
    provider.interval = 0
    with pytest.raises(AuthorizationError, match="in time"):
        device.authorize(client, lambda _: None, pause=lambda _: None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"error": "invalid_client"}',
        b"<html>",
        b"[" * 100_000,
        b"{" * 2_000_000,
    ],
)
@pytest.mark.parametrize("path", ["/device", "/token"])
def test_an_answer_that_is_none_is_an_error(
    provider: OAuthServer, client: OAuth, path: str, body: bytes
) -> None:
    """Whatever a server sends, the user gets a line."""
    provider.answers[path] = (200, {}, body)
    with pytest.raises(MoatError):
        device.authorize(client, lambda _: None, pause=lambda _: None)


def test_a_page_without_tls_is_not_shown(provider: OAuthServer, client: OAuth) -> None:
    """Nobody types a code where others read it."""
    answer = b'{"device_code": "d", "user_code": "u", "verification_uri": "http://x.example/"}'
    provider.answers["/device"] = (200, {}, answer)
    with pytest.raises(UsageError, match="without TLS"):
        device.authorize(client, lambda _: None, pause=lambda _: None)


def test_a_redirect_carries_nothing_on(provider: OAuthServer, client: OAuth) -> None:
    """A token endpoint that redirects gets no second request, and no host behind it any."""
    provider.answers["/token"] = (307, {"Location": f"{provider.url}/elsewhere"}, b"")
    with pytest.raises(AuthorizationError):
        device.authorize(client, lambda _: None, pause=lambda _: None)
    assert not provider.parameters("/elsewhere")


def test_a_certificate_that_nobody_vouches_for_is_refused(
    provider: OAuthServer, client: OAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent to a server whose name isn't proved."""
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(http.UnreachableError, match="its certificate isn't valid"):
        device.authorize(client, lambda _: None)
    assert not provider.requests
    assert ssl.create_default_context().check_hostname
