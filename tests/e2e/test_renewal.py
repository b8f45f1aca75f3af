"""A login that is renewed for a run: once for all runs, and by whatever supervisor it has."""

from __future__ import annotations

import json
import textwrap
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest
from tests.e2e.conftest import TIMEOUT_S
from tests.e2e.internet import Answer, Internet, never_shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat
    from tests.e2e.internet import Asked

AUTH, API = "auth.test", "api.test"


class Provider:
    """Gives tokens for refresh tokens, each of which it takes once, and an answer for such a token."""

    def __init__(self) -> None:
        self.refresh_token = "the-first-refresh-token-0123456789"
        self.token = "the-first-access-token-0123456789"
        self.given = 0
        self.arrived = threading.Event()
        self.refused = threading.Event()
        self.proceed = threading.Event()
        self.proceed.set()

    def auth(self, asked: Asked) -> Answer:
        self.arrived.set()
        if not self.proceed.wait(TIMEOUT_S):
            return Answer(b"", 503)
        given = parse_qs(asked.body.decode())
        if given.get("refresh_token") != [self.refresh_token]:
            self.refused.set()
            return Answer.of({"error": "invalid_grant"}, 400)
        self.given += 1
        self.refresh_token = f"a-renewed-refresh-token-{self.given:010}"
        self.token = f"a-renewed-access-token-{self.given:010}"
        return Answer.of(
            {
                "access_token": self.token,
                "refresh_token": self.refresh_token,
                "expires_in": 3600,
                "token_type": "bearer",
            }
        )

    def api(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return Answer(b"refused", 401)
        return Answer(b"welcome")


@pytest.fixture
def provider(moat: Moat, tmp_path: Path) -> Iterator[Provider]:
    """A login that has ended, of a user behind a company's proxy, with the company's authority."""
    provider = Provider()
    with Internet(tmp_path / "internet") as internet:
        internet.serve(AUTH, provider.auth)
        internet.serve(API, provider.api)
        moat.environment |= internet.environment
        moat.environment["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/dev/null/bus"
        moat.write_settings(internet.settings())
        (moat.home / "providers").mkdir(mode=0o700, parents=True)
        (moat.home / "providers" / "login.yaml").write_text(
            textwrap.dedent(
                f"""
                id: login
                title: A login
                obtain:
                  files:
                    - path: ~/login.json
                      fields: {{token: token, refresh_token: refresh}}
                      expires: expires
                  attributes: {{token_url: "https://{AUTH}/token", client_id: a-client}}
                inject:
                  - hosts: [{API}]
                placeholders: {{token: "t_{{alnum:30}}", refresh_token: "r_{{alnum:30}}"}}
                env: {{LOGIN_TOKEN: "{{token}}"}}
                """
            )
        )
        home = tmp_path / "home"
        home.mkdir()
        moat.environment["HOME"] = str(home)
        ended = int(time.time()) - 60
        login = {"token": provider.token, "refresh": provider.refresh_token, "expires": ended}
        (home / "login.json").write_text(json.dumps(login))
        moat.ok("grant", "login", "--from", "cli", "--no-validate")
        yield provider
        provider.proceed.set()


ASK = ("curl", "-sS", "-m", "300", f"https://{API}/")


def test_a_login_is_renewed_behind_a_companys_proxy(moat: Moat, provider: Provider) -> None:
    """Supervisors have a bare environment: the run's specification has the way for them, too."""
    assert moat.ok("run", "--grant", "login", "--", *ASK) == "welcome"
    assert moat.ok("run", "--grant", "login", "--", *ASK) == "welcome"
    assert provider.given == 1
    never_shown((moat.home,), (provider.token, provider.refresh_token))


def test_two_runs_renew_once(moat: Moat, provider: Provider) -> None:
    """A refresh token that is used twice would end the whole login."""
    provider.proceed.clear()
    runs = [
        moat.start("run", "-n", name, "--grant", "login", "--", *ASK) for name in ("one", "two")
    ]
    assert provider.arrived.wait(TIMEOUT_S)
    provider.proceed.set()
    assert [run.communicate(timeout=TIMEOUT_S)[0] for run in runs] == [b"welcome"] * 2
    assert provider.given == 1


def test_a_supervisor_is_killed_while_it_renews(moat: Moat, provider: Provider) -> None:
    """The provider had not used the refresh token yet: it is still there, and its lock is free."""
    provider.proceed.clear()
    moat.ok("run", "-d", "-n", "one", "--grant", "login", "--", "sleep", "1000")
    asking = moat.start("exec", "one", "--", *ASK)
    assert provider.arrived.wait(TIMEOUT_S)
    first = provider.refresh_token
    moat.kill("one", "supervisor")
    provider.refresh_token = "nobody-is-given-a-token-for-this-one"
    provider.proceed.set()
    asking.communicate(timeout=TIMEOUT_S)
    assert provider.refused.wait(TIMEOUT_S)
    assert provider.given == 0
    provider.refresh_token = first
    assert moat.ok("exec", "one", "--", *ASK) == "welcome"
    assert provider.given == 1
    assert moat.ok("run", "--grant", "login", "--", *ASK) == "welcome"
    moat.ok("stop", "one")
