"""The vault on disk."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.full_disk import files_of_at_most

from moat.atomic import replace_file
from moat.credentials import key_store
from moat.credentials import vault as vault_module
from moat.credentials.credential import (
    AUDIT_KEYS,
    Credential,
    CredentialKey,
    CredentialNotFoundError,
    VaultError,
)
from moat.credentials.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path

KEY = CredentialKey(provider="github")
SECRET = "ghp_" + "s3cr3t" * 6


def credential(secret: str = SECRET, key: CredentialKey = KEY) -> Credential:
    return Credential(
        key=key, fields={"token": secret}, attributes={"account": "octo"}, source="stdin"
    )


@pytest.fixture(autouse=True)
def _no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/dev/null/bus")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


def files(vault: Vault) -> dict[str, bytes]:
    return {
        str(path.relative_to(vault.folder)): path.read_bytes()
        for path in sorted(vault.folder.rglob("*"))
        if path.is_file()
    }


def test_a_credential_comes_back(vault: Vault) -> None:
    """What was put is what is got, with the version that the vault gave it."""
    saved = vault.put(credential())
    assert saved.version == 1
    assert vault.get(KEY) == saved
    assert vault.get(KEY).fields == {"token": SECRET}


def test_nothing_is_in_the_clear(vault: Vault) -> None:
    """No file of the vault holds the secret, and each can be read by its owner alone."""
    vault.put(credential())
    for path in vault.folder.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        else:
            assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_credential_shows_no_secret(vault: Vault) -> None:
    """Neither the credential's repr nor the entry's has the secret."""
    saved = vault.put(credential())
    assert SECRET not in repr(saved) + repr(saved.entry) + repr(vault.entries())
    assert vault.entries() == [saved.entry]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"provider": "github"', '"provider": "gitlab"'),
        ('"version": 1', '"version": 2'),
        ('"profile": "default"', '"profile": "work"'),
        ('"scope": ""', '"scope": "x"'),
        ('"account": "octo"', '"account": "evil"'),
    ],
)
def test_what_an_entry_says_of_itself_is_bound_to_its_secret(
    vault: Vault, before: str, after: str
) -> None:
    """An entry whose first line was changed is an error, wherever it was put."""
    vault.put(credential())
    path = vault.file(KEY)
    path.write_text(path.read_text().replace(before, after))
    (entry,) = vault.entries()
    path.rename(vault.file(entry.key))
    with pytest.raises(VaultError, match="can't be decrypted"):
        vault.get(entry.key)


def test_an_entry_in_the_place_of_another_is_an_error(vault: Vault) -> None:
    """The file of one credential isn't taken for that of another."""
    other = CredentialKey(provider="github", profile="work")
    vault.put(credential())
    vault.put(credential("other", other))
    vault.file(KEY).write_bytes(vault.file(other).read_bytes())
    with pytest.raises(VaultError, match="that of github@work"):
        vault.get(KEY)


@pytest.mark.parametrize(
    "content", [b"", b"{}\n", b"nonsense", b'{"format": 99}\n', bytes(2 << 20)]
)
def test_a_damaged_file_is_never_overwritten(vault: Vault, content: bytes) -> None:
    """A file that can't be read is an error for each use of it, until it is revoked."""
    vault.put(credential())
    path = vault.file(KEY)
    path.write_bytes(content)
    for use in (
        lambda: vault.get(KEY),
        lambda: vault.put(credential()),
        vault.rekey,
        vault.entries,
    ):
        with pytest.raises(VaultError, match="damaged"):
            use()
    assert path.read_bytes() == content
    vault.remove(KEY)
    vault.put(credential())
    assert vault.get(KEY).fields == {"token": SECRET}


def test_a_vault_that_takes_nothing_says_so_beforehand(vault: Vault) -> None:
    """Nobody logs in somewhere for a credential that can't be saved then."""
    vault.check_ready(KEY)
    assert not vault.folder.exists()
    vault.put(credential())
    vault.check_ready(KEY)
    (vault.folder / "key").rename(vault.folder / "lost")
    with pytest.raises(VaultError, match="is gone"):
        vault.check_ready(KEY)
    vault.file(KEY).write_bytes(b"")
    with pytest.raises(VaultError, match="damaged"):
        vault.check_ready(KEY)


def test_the_store_is_closed_to_others(tmp_path: Path) -> None:
    """A vault that is the first thing in a store makes it for its owner alone."""
    Vault(tmp_path / "a" / "store").put(credential())
    assert stat.S_IMODE((tmp_path / "a" / "store").stat().st_mode) == 0o700


def test_a_link_is_not_followed(vault: Vault, tmp_path: Path) -> None:
    """A symbolic link in the place of an entry is not read."""
    vault.put(credential())
    vault.file(KEY).rename(tmp_path / "moved")
    vault.file(KEY).symlink_to(tmp_path / "moved")
    with pytest.raises(VaultError, match="damaged"):
        vault.get(KEY)


@pytest.mark.parametrize("name", ["key", "vault.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"current": "x", "keys": {}}'])
def test_a_lost_or_damaged_key_is_an_error(vault: Vault, name: str, content: bytes | None) -> None:
    """Without its key or its state a vault with entries is never begun anew."""
    vault.put(credential())
    (vault.folder / name).unlink()
    if content is not None:
        (vault.folder / name).write_bytes(content)
        (vault.folder / name).chmod(0o600)
    before = files(vault)
    for use in (lambda: vault.get(KEY), lambda: vault.put(credential("new")), vault.rekey):
        with pytest.raises(VaultError):
            use()
    assert files(vault) == before


def test_another_vaults_key_opens_nothing(vault: Vault, tmp_path: Path) -> None:
    """A wrong key is an error that leaves the entry as it is."""
    other = Vault(tmp_path / "other")
    other.put(credential())
    vault.put(credential())
    (vault.folder / "key").write_bytes((other.folder / "key").read_bytes())
    before = vault.file(KEY).read_bytes()
    with pytest.raises(VaultError, match="key that is not here"):
        vault.get(KEY)
    assert vault.file(KEY).read_bytes() == before


def test_a_key_with_the_right_name_and_another_content_opens_nothing(vault: Vault) -> None:
    """The key itself is checked, not its name."""
    vault.put(credential())
    ring = json.loads((vault.folder / "key").read_text())
    ring["keys"] = dict.fromkeys(ring["keys"], "A" * 43 + "=")
    (vault.folder / "key").write_text(json.dumps(ring))
    with pytest.raises(VaultError, match="can't be decrypted"):
        vault.get(KEY)


def test_a_key_that_others_can_read_is_refused(vault: Vault) -> None:
    """A key file with open modes is not used."""
    vault.put(credential())
    (vault.folder / "key").chmod(0o644)
    with pytest.raises(VaultError, match="can be read by others"):
        vault.get(KEY)


def test_a_version_never_comes_twice(vault: Vault) -> None:
    """A credential that was revoked and granted again is told from the one before."""
    vault.put(credential())
    vault.remove(KEY)
    assert vault.put(credential()).version == 2
    with pytest.raises(CredentialNotFoundError, match="no credential github"):
        vault.remove(CredentialKey(provider="github", scope="x"))


def test_a_refresh_brings_nothing_back(vault: Vault) -> None:
    """New tokens for a credential that was revoked, or granted anew meanwhile, are refused."""
    first = vault.put(credential())
    second = vault.replace(replace(first, fields={"token": "refreshed"}))
    assert vault.get(KEY) == second
    with pytest.raises(CredentialNotFoundError):
        vault.replace(first)
    vault.remove(KEY)
    with pytest.raises(CredentialNotFoundError):
        vault.replace(second)


def test_rekey_keeps_everything_under_a_new_key(vault: Vault) -> None:
    """After `rekey` the old key opens nothing, and every credential is as it was."""
    other = CredentialKey(provider="npm", scope="a.example")
    saved = [vault.put(credential()), vault.put(credential("other", other))]
    before = (vault.folder / "key").read_bytes()
    assert vault.rekey() == 2
    assert [vault.get(KEY), vault.get(other)] == saved
    (vault.folder / "key").write_bytes(before)
    with pytest.raises(VaultError, match="key that is not here"):
        vault.get(KEY)


def test_an_interrupted_rekey_loses_nothing(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever write of `rekey` is the last, everything can be read, and another one finishes it."""
    keys = [CredentialKey(provider="npm", scope=str(number)) for number in range(3)]
    saved = [vault.put(credential(str(key), key)) for key in keys]
    left = 0

    def interrupted(path: Path, data: bytes, *, durable: bool) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        replace_file(path, data, durable=durable)

    for allowed in range(6):
        left = allowed
        with monkeypatch.context() as patch:
            patch.setattr(vault_module, "replace_file", interrupted)
            patch.setattr(key_store, "replace_file", interrupted)
            if allowed < 5:
                with pytest.raises(KeyboardInterrupt):
                    vault.rekey()
            else:
                vault.rekey()
        assert [vault.get(key) for key in keys] == saved
    assert len(json.loads((vault.folder / "key").read_text())["keys"]) == 1


def test_a_full_disk_changes_nothing(vault: Vault) -> None:
    """A write for which there is no room is an error, and what was there before is still there."""
    saved = vault.put(credential())
    with files_of_at_most(200), pytest.raises(VaultError, match="can't be written"):
        vault.put(credential("x" * 1000))
    assert vault.get(KEY) == saved
    assert not list(vault.folder.rglob("*.new"))


@pytest.mark.parametrize(
    "unreadable",
    [
        replace(credential("new"), expires_at=float("inf")),
        replace(credential("new"), expires_at=float("nan")),
        credential("x" * (1 << 20)),
        replace(credential("new"), created_at="yesterday"),
    ],
    ids=["endless", "no time", "too long", "no date"],
)
def test_what_could_not_be_read_again_is_not_written(vault: Vault, unreadable: Credential) -> None:
    """The credential before it stays."""
    saved = vault.put(credential())
    with pytest.raises(VaultError, match="github can't be kept"):
        vault.put(unreadable)
    assert vault.get(KEY) == saved


def test_a_vault_without_a_folder_is_empty(vault: Vault) -> None:
    """Listing makes nothing."""
    assert vault.entries() == []
    assert vault.state is None
    with pytest.raises(CredentialNotFoundError):
        vault.get(KEY)
    assert not os.path.lexists(vault.folder)


def test_a_restore_gives_up_only_what_cant_be_read(vault: Vault, tmp_path: Path) -> None:
    """A backup that overwrites replaces whole credentials as `put` does, and damaged ones too."""
    other = CredentialKey(provider="npm")
    vault.put(credential())
    vault.put(credential("n", other))
    vault.file(other).write_bytes(b"")
    backup = [credential("a"), credential("b", other)]
    assert vault.restore(backup, overwrite=False) == []
    with files_of_at_most(200), pytest.raises(VaultError, match="can't be written"):
        vault.restore([credential("x" * 1000)], overwrite=True)
    assert vault.get(KEY).fields == {"token": SECRET}
    assert [each.key for each in vault.restore(backup, overwrite=True)] == [KEY, other]
    assert vault.get(KEY).fields == {"token": "a"}
    assert vault.get(other).fields == {"token": "b"}


def test_a_restore_needs_the_key_first(vault: Vault) -> None:
    """A key that can't be had just now makes no credential look lost."""
    saved = vault.put(credential())
    (vault.folder / "key").chmod(0o644)
    with pytest.raises(VaultError, match="can be read by others"):
        vault.restore([credential("a")], overwrite=True)
    (vault.folder / "key").chmod(0o600)
    assert vault.get(KEY) == saved


def test_a_restore_begins_a_vault_whose_key_is_gone(vault: Vault) -> None:
    """What the lost key sealed is lost, Moat's own too; the backup's credentials get a new one."""
    vault.put(credential())
    internal = CredentialKey(provider=AUDIT_KEYS, scope="current")
    vault.put(credential("private", internal))
    (vault.folder / "key").unlink()
    vault.restore([credential("a")], overwrite=True)
    assert vault.get(KEY).fields == {"token": "a"}
    with pytest.raises(VaultError) as told:
        vault.rekey()
    assert "moat audit key rotate" in str(told.value.hint)
    vault.put(credential("another", internal))
    assert vault.rekey() == 1
