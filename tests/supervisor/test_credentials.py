"""The run's credentials: from a real vault, renewed once, gone when they are revoked."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.full_disk import files_of_at_most

from moat.credentials.credential import Credential, CredentialKey
from moat.credentials.obtaining.tokens import AuthorizationError
from moat.credentials.vault import Vault
from moat.egress.authorization.authorizer import CredentialUnavailableError
from moat.spec import Grant
from moat.spec.grants import Refresh
from moat.supervisor.credentials import EARLY_S, RETRY_S, RunCredentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

KEY = CredentialKey(provider="claude")
GRANT = Grant(provider="claude", refresh=Refresh(token_url="https://auth.test/token"))
NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/dev/null/bus")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path)
    vault.put(login("first"))
    return vault


def login(token: str, *, expires_in: float = 3600) -> Credential:
    return Credential(
        key=KEY,
        fields={"token": token, "refresh_token": f"refresh-{token}"},
        expires_at=NOW + expires_in,
        source="browser",
    )


class Provider:
    """A token endpoint with rotating refresh tokens: each is taken once."""

    def __init__(self, lifetime: float = 3600) -> None:
        self.taken: list[str] = []
        self._lifetime = lifetime

    def __call__(self, credential: Credential, _: Refresh) -> Credential:
        used = credential.fields["refresh_token"]
        if used in self.taken:
            raise AuthorizationError("the provider refuses: invalid_grant", None)
        self.taken.append(used)
        token = f"renewed-{len(self.taken)}"
        return replace(
            credential,
            fields={"token": token, "refresh_token": f"refresh-{token}"},
            expires_at=NOW + self._lifetime,
        )


@asynccontextmanager
async def credentials(
    vault: Vault, renew: Provider | None = None, now: Callable[[], float] = lambda: NOW
) -> AsyncIterator[RunCredentials]:
    loop = asyncio.get_running_loop()
    made = RunCredentials(vault, loop, renew or Provider(), now)
    try:
        yield made
    finally:
        made.close()


async def changed(source: RunCredentials) -> None:
    """Wait until the source has noticed a change of the vault."""
    noticed = asyncio.Event()
    source.on_changed = noticed.set
    async with asyncio.timeout(120):
        await noticed.wait()


async def test_a_credential_is_decrypted_at_its_first_use(vault: Vault) -> None:
    """From then on it is at hand."""
    async with credentials(vault) as source:
        assert source.held(GRANT) is None
        fetched = await source.fetch(GRANT, None)
        assert fetched.fields["token"] == "first"
        assert source.held(GRANT) is fetched


async def test_nothing_but_the_grant_is_decrypted(vault: Vault) -> None:
    """What the run was not granted has no name here by which it could be had."""
    vault.put(replace(login("other"), key=CredentialKey(provider="github")))
    async with credentials(vault) as source:
        fetched = await source.fetch(GRANT, None)
        assert "other" not in "".join(fetched.fields.values())
        assert "first" not in repr(fetched)


async def test_a_revoked_credential_is_gone_at_once(vault: Vault) -> None:
    """The error says which command gives it back; granted again, it is used at once."""
    async with credentials(vault) as source:
        await source.fetch(GRANT, None)
        vault.remove(KEY)
        await changed(source)
        assert source.held(GRANT) is None
        with pytest.raises(CredentialUnavailableError, match="moat grant claude"):
            await source.fetch(GRANT, None)
        vault.put(login("second"))
        assert (await source.fetch(GRANT, None)).fields["token"] == "second"


async def test_a_credential_is_renewed_before_its_end(vault: Vault) -> None:
    """The vault has the new one for all runs."""
    vault.put(login("old", expires_in=EARLY_S - 1))
    async with credentials(vault) as source:
        assert (await source.fetch(GRANT, None)).fields["token"] == "renewed-1"
    assert vault.get(KEY).fields["refresh_token"] == "refresh-renewed-1"


async def test_many_requests_of_many_runs_renew_it_once(vault: Vault) -> None:
    """A refresh token that is used twice would revoke the whole login."""
    vault.put(login("old", expires_in=1))
    provider = Provider()
    async with credentials(vault, provider) as one, credentials(vault, provider) as other:
        found = await asyncio.gather(
            *(source.fetch(GRANT, None) for source in (one, other) for _ in range(5))
        )
    assert {each.fields["token"] for each in found} == {"renewed-1"}
    assert provider.taken == ["refresh-old"]


async def test_a_rejected_credential_is_renewed_unless_another_run_has_done_so(
    vault: Vault,
) -> None:
    """Two runs whose requests were refused have one new credential."""
    provider = Provider()
    async with credentials(vault, provider) as one, credentials(vault, provider) as other:
        rejected = await one.fetch(GRANT, None), await other.fetch(GRANT, None)
        assert (await one.fetch(GRANT, rejected[0])).fields["token"] == "renewed-1"
        assert (await other.fetch(GRANT, rejected[1])).fields["token"] == "renewed-1"
    assert provider.taken == ["refresh-first"]


async def test_another_vault_in_its_place_is_noticed(vault: Vault, tmp_path: Path) -> None:
    """A vault that was put back from a copy holds what it holds, and each later change counts."""
    async with credentials(vault) as source:
        await source.fetch(GRANT, None)
        shutil.copytree(vault.folder, tmp_path / "copy")
        vault.folder.rename(tmp_path / "old")
        await changed(source)
        assert source.held(GRANT) is None
        assert not source.exists(GRANT)
        (tmp_path / "copy").rename(vault.folder)
        await changed(source)
        assert (await source.fetch(GRANT, None)).fields["token"] == "first"
        vault.remove(KEY)
        await changed(source)
        assert source.held(GRANT) is None


async def test_a_credential_that_cannot_be_renewed_is_used_to_its_end(vault: Vault) -> None:
    """The provider may be away for a moment."""
    provider = Provider()
    provider.taken.append("refresh-old")
    vault.put(login("old", expires_in=60))
    async with credentials(vault, provider) as source:
        assert (await source.fetch(GRANT, None)).fields["token"] == "old"
    vault.put(login("old", expires_in=-60))
    async with credentials(vault, provider) as source:
        with pytest.raises(CredentialUnavailableError, match=r"invalid_grant.*moat grant claude"):
            await source.fetch(GRANT, None)


async def test_a_credential_without_a_refresh_token_says_that_it_has_expired(vault: Vault) -> None:
    """It is not sent to be refused."""
    vault.put(replace(login("old", expires_in=-1), fields={"token": "old"}))
    async with credentials(vault) as source:
        with pytest.raises(CredentialUnavailableError, match=r"expired.*moat grant claude"):
            await source.fetch(GRANT, None)


async def test_a_token_that_does_not_live_long_is_renewed_once(vault: Vault) -> None:
    """Its renewal is a change of the vault, and its end is near from the beginning."""
    vault.put(login("old", expires_in=-1))
    provider = Provider(lifetime=EARLY_S / 2)
    async with credentials(vault, provider) as source:
        for _ in range(3):
            assert (await source.fetch(GRANT, None)).fields["token"] == "renewed-1"
            source.on_changed()
    assert provider.taken == ["refresh-old"]


async def test_a_server_that_refuses_everything_has_nothing_renewed_again_at_once(
    vault: Vault,
) -> None:
    """A program that asks for what is refused could have the provider lock the account."""
    provider = Provider()
    times = [NOW]
    async with credentials(vault, provider, lambda: times[-1]) as source:
        held = await source.fetch(GRANT, None)
        for _ in range(5):
            held = await source.fetch(GRANT, held)
        assert provider.taken == ["refresh-first"]
        times.append(NOW + RETRY_S)
        await source.fetch(GRANT, held)
    assert provider.taken == ["refresh-first", "refresh-renewed-1"]


async def test_a_renewal_that_fails_is_not_tried_with_each_request(vault: Vault) -> None:
    """They get the same answer for a while, unless the user grants the credential anew."""
    vault.put(login("old", expires_in=-1))
    asked: list[str] = []

    def refuse(credential: Credential, _: Refresh) -> Credential:
        asked.append(credential.fields["refresh_token"])
        raise AuthorizationError("the provider refuses: invalid_grant", None)

    source = RunCredentials(vault, asyncio.get_running_loop(), refuse, lambda: NOW)
    for _ in range(3):
        with pytest.raises(CredentialUnavailableError, match="invalid_grant"):
            await source.fetch(GRANT, None)
    assert asked == ["refresh-old"]
    vault.put(replace(login("new"), created_at="2027-01-15T08:00:00Z"))
    assert (await source.fetch(GRANT, None)).fields["token"] == "new"
    source.close()


async def test_a_full_disk_loses_no_renewed_credential_while_the_run_lasts(vault: Vault) -> None:
    """The old refresh token is spent, so the new one is kept in memory and renewed in its turn."""
    provider = Provider()
    times = [NOW]
    async with credentials(vault, provider, lambda: times[-1]) as source:
        first = await source.fetch(GRANT, None)
        with files_of_at_most(0):
            second = await source.fetch(GRANT, first)
        assert second.fields["token"] == "renewed-1"
        times.append(NOW + RETRY_S)
        third = await source.fetch(GRANT, second)
        assert third.fields["token"] == "renewed-2"
    assert vault.get(KEY).fields["token"] == "renewed-2"


async def test_a_credential_that_is_revoked_while_it_is_renewed_does_not_come_back(
    vault: Vault,
) -> None:
    """The new tokens go nowhere."""

    def revoked_meanwhile(credential: Credential, client: Refresh) -> Credential:
        vault.remove(KEY)
        return Provider()(credential, client)

    vault.put(login("old", expires_in=1))
    loop = asyncio.get_running_loop()
    source = RunCredentials(vault, loop, revoked_meanwhile, lambda: NOW)
    with pytest.raises(CredentialUnavailableError, match="no credential claude"):
        await source.fetch(GRANT, None)
    source.close()
