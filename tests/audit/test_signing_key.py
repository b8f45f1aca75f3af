"""The keys of an installation."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from moat.audit import signing_key
from moat.audit.signing_key import SigningKeys
from moat.credentials.credential import VaultError
from moat.credentials.vault import Vault
from moat.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose key lies in a file."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/dev/null/bus")
    return tmp_path


def test_it_is_made_once(home: Path) -> None:
    """Whoever comes later has the same; what it signs can be verified."""
    assert SigningKeys(home).known() == []
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: SigningKeys(home).current(), range(8)))
    assert len({each.public for each in keys}) == 1
    Ed25519PublicKey.from_public_bytes(keys[0].public).verify(keys[3].sign(b"text"), b"text")
    (known,) = SigningKeys(home).known()
    assert known.public == keys[0].public
    assert not known.retired_at
    assert len(known.fingerprint) == 32


def test_the_private_half_is_in_the_vault_alone(home: Path) -> None:
    """No file has it in the clear, and no listing of credentials shows it."""
    SigningKeys(home).current()
    assert Vault(home).survey() == ([], [])
    files = [each for each in home.rglob("*") if each.is_file()]
    (entry,) = (each for each in files if each.suffix == ".credential")
    assert json.loads(entry.read_bytes().splitlines()[0])["fields"] == ["private"]


def test_rotation_keeps_the_public_half(home: Path) -> None:
    """The old key is known, and can't sign any more."""
    keys = SigningKeys(home)
    first = keys.current().public
    second = keys.rotate()
    assert keys.current().public == second.public != first
    third = keys.rotate()
    assert [each.public for each in keys.known()] == [third.public, second.public, first]
    assert [bool(each.retired_at) for each in keys.known()] == [False, True, True]
    retired = keys.known()[2].retired_at
    keys.rotate()
    assert keys.known()[3].retired_at == retired


def test_revocation(home: Path) -> None:
    """A key that is revoked stays so, and the one that signs is replaced first."""
    keys = SigningKeys(home)
    first = keys.current().public
    revoked = keys.revoke(keys.known()[0].fingerprint[:6])
    assert (revoked.public, revoked.revoked) == (first, True)
    assert keys.current().public != first
    keys.rotate()
    assert [each.revoked for each in keys.known()] == [False, False, True]
    for name in ("", "zz"):
        with pytest.raises(UsageError):
            keys.revoke(name)


def test_a_damaged_key(home: Path) -> None:
    """It is an error that quotes nothing of it, and the way out works."""
    keys = SigningKeys(home)
    keys.current()
    vault = Vault(home)
    credential = vault.get(signing_key._CURRENT)
    vault.put(replace(credential, fields={"private": "secret-zz"}))
    with pytest.raises(VaultError, match="damaged") as caught:
        keys.current()
    assert "secret" not in str(caught.value)
    keys.rotate()
    keys.current()
