"""Backups of the vault."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from moat.credentials import backup
from moat.credentials.credential import Credential, CredentialKey, VaultError

PASSPHRASE = "correct horse battery"
ONE = Credential(
    key=CredentialKey(provider="github", scope="o", profile="p"),
    fields={"token": "s3cret-ö"},
    attributes={"account": "octo"},
    expires_at=1.5,
    source="cli",
    created_at="2026-11-28T22:59:49Z",
)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guess fast: what is tested is not how slow guessing is."""
    monkeypatch.setattr(backup, "_COST", 2)


def test_credentials_come_back() -> None:
    """All of a credential is in the backup, and none of it can be read."""
    content = backup.encode([ONE], PASSPHRASE)
    assert backup.decode(content, PASSPHRASE) == [ONE]
    assert not any(word in content for word in (b"s3cret", b"github", b"octo", b"cret-"))


def _changed(content: bytes, change: dict[str, object]) -> bytes:
    first, second = content.splitlines()
    return json.dumps(json.loads(first) | change).encode() + b"\n" + second + b"\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cost": 1 << 30}, "later version"),
        ({"cost": 3}, "later version"),
        ({"cost": -2}, "later version"),
        ({"format": "moat vault backup 2"}, "later version"),
        ({"salt": base64.b64encode(bytes(16)).decode()}, "the passphrase is wrong"),
        ({"cost": 4}, "the passphrase is wrong"),
        ({"salt": 1}, "no backup"),
    ],
)
def test_a_changed_head_is_refused(change: dict[str, object], words: str) -> None:
    """The head is bound to the rest, and none makes us work for hours."""
    with pytest.raises(VaultError, match=words):
        backup.decode(_changed(backup.encode([ONE], PASSPHRASE), change), PASSPHRASE)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"{}\n", b"[]\nAAAA\n"])
def test_another_file_is_no_backup(content: bytes) -> None:
    """Whatever a file holds, the user gets a line."""
    with pytest.raises(VaultError, match="no backup"):
        backup.decode(content, PASSPHRASE)


def test_a_backup_is_restored_whole_or_not_at_all() -> None:
    """None that was cut off anywhere is taken."""
    content = backup.encode([ONE], PASSPHRASE)
    for end in range(len(content) - 1):
        with pytest.raises(VaultError):
            backup.decode(content[:end], PASSPHRASE)


def test_another_passphrase_opens_nothing() -> None:
    """The passphrase decides, to the last character."""
    content = backup.encode([ONE], PASSPHRASE)
    with pytest.raises(VaultError, match="the passphrase is wrong"):
        backup.decode(content, PASSPHRASE + " ")


def test_a_backup_of_the_first_version_can_be_read() -> None:
    """What the first version of Moat with a vault wrote is readable for ever."""
    content = Path(__file__).with_name("first.backup").read_bytes()
    assert backup.decode(content, PASSPHRASE) == [ONE]
