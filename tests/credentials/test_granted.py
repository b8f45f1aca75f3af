"""The vault as it is asked before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.credentials.credential import Credential, CredentialKey
from moat.credentials.granted import GrantedCredentials
from moat.credentials.vault import Vault
from moat.errors import GrantMissingError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def put(home: Path, name: str, *, profile: str = "default", **more: object) -> None:
    fields = {"token": "secret", **({"refresh_token": "r"} if more.pop("renewable", False) else {})}
    key = CredentialKey.parse(name, profile)
    Vault(home).put(Credential(key=key, fields=fields, source="stdin", **more))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _file_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks the keyring of whoever runs it."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)


def test_names_choose_the_credential(tmp_path: Path) -> None:
    """A profile comes from the name, or else from the command line; an alias is the same provider."""
    put(tmp_path, "github", attributes={"account": "octocat"})
    put(tmp_path, "github", profile="work")
    vault = GrantedCredentials(tmp_path, None)
    assert [each.name for each in vault.grants(["gh", "github"], "default")] == ["github"]
    assert vault.grants(["github"], "default")[0].account == "octocat"
    assert [each.name for each in vault.grants(["github"], "work")] == ["github@work"]
    names = [each.name for each in vault.grants(["github@work", "github"], "default")]
    assert names == ["github", "github@work"]


def test_no_secret_is_in_a_grant(tmp_path: Path) -> None:
    """The specification is written to the disk, and others read it."""
    put(tmp_path, "openai")
    [grant] = GrantedCredentials(tmp_path, None).grants(["openai"], "default")
    assert "secret" not in repr(grant)


def test_what_is_missing_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    """Where nobody can be asked, nothing starts."""
    with pytest.raises(GrantMissingError) as missing:
        GrantedCredentials(tmp_path, None).grants(["openai"], "work")
    assert missing.value.hint == "Grant it first: moat grant openai --profile work"


def test_what_is_missing_is_offered(tmp_path: Path) -> None:
    """After a yes the credential is there, and the run goes on."""
    offered: list[tuple[str, str]] = []

    def offer(key: CredentialKey, why: str) -> bool:
        offered.append((key.name, why))
        put(tmp_path, "openai")
        return True

    [grant] = GrantedCredentials(tmp_path, offer).grants(["openai"], "default")
    assert grant.name == "openai"
    assert offered == [("openai", "there is no credential openai in the vault")]
    with pytest.raises(GrantMissingError):
        GrantedCredentials(tmp_path, lambda _key, _why: False).grants(["linear"], "default")


def test_what_has_expired_is_missing_unless_it_can_be_renewed(tmp_path: Path) -> None:
    """The run would only find out at its first request."""
    put(tmp_path, "openai", expires_at=1.0)
    put(tmp_path, "claude", expires_at=1.0, renewable=True)
    vault = GrantedCredentials(tmp_path, None)
    with pytest.raises(GrantMissingError, match="has expired"):
        vault.grants(["openai"], "default")
    assert vault.grants(["claude"], "default")


def test_an_unknown_provider_has_a_suggestion(tmp_path: Path) -> None:
    """It is said before the vault is asked."""
    with pytest.raises(UsageError) as unknown:
        GrantedCredentials(tmp_path, None).grants(["opnai"], "default")
    assert unknown.value.hint == "Did you mean openai?"
