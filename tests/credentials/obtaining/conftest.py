"""A provider on loopback, and what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.oauth_server import CLIENT, OAuthServer

from moat.providers.recipe import OAuth, Recipe, Validation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OAuthServer]:
    """A provider whose certificate this process trusts."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "provider"
    folder.mkdir()
    with OAuthServer(folder) as started:
        monkeypatch.setenv("SSL_CERT_FILE", str(started.certificate))
        yield started


@pytest.fixture
def client(provider: OAuthServer) -> OAuth:
    return OAuth(
        client_id=CLIENT,
        token_url=f"{provider.url}/token",
        device_url=f"{provider.url}/device",
        authorize_url=f"{provider.url}/authorize",
        scopes=("repo", "user"),
    )


@pytest.fixture
def recipe(provider: OAuthServer, client: OAuth) -> Recipe:
    return Recipe(
        provider="example",
        title="Example",
        variables=({"token": ("EXAMPLE_TOKEN",)},),
        oauth=client,
        validation=Validation(
            url=f"{provider.url}/user",
            headers={"Authorization": "Bearer {token}"},
            attributes={"account": "login"},
            scopes_header="X-OAuth-Scopes",
            scopes=("repo",),
        ),
        help="https://example.com/tokens",
    )
