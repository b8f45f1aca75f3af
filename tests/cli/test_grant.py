"""`moat grant` as text, and what it loads."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from moat.cli.grant_text import as_dict, details, expiry, listing
from moat.credentials.credential import Credential, CredentialKey, Entry
from moat.credentials.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path

NOW = 2_000_000_000.0


def entry(**changes: object) -> Entry:
    known = {
        "key": CredentialKey(provider="github"),
        "source": "cli",
        "created_at": "2033-05-18T03:33:10Z",
        "field_names": ("token",),
    }
    return Entry(**(known | changes))


@pytest.mark.parametrize(
    ("expires_at", "fields", "text"),
    [
        (None, ("token",), "-"),
        (NOW - 1, ("token",), "expired"),
        (NOW - 1, ("token", "refresh_token"), "when used next (renewed by itself)"),
        (NOW + 5400, ("token",), "in 1 h 30 min"),
        (NOW + 5400, ("token", "refresh_token"), "in 1 h 30 min (renewed by itself)"),
        (NOW + 10 * 86400, ("token",), "in 10 days"),
    ],
)
def test_the_end_is_told(expires_at: float | None, fields: tuple[str, ...], text: str) -> None:
    """A credential that can be refreshed ends later than it says."""
    assert expiry(entry(expires_at=expires_at, field_names=fields), NOW) == text


def test_a_listing_can_do_no_harm() -> None:
    """What a provider has called the account can't act on the terminal."""
    text = listing([entry(attributes={"account": "\x1b[31mroot"})], NOW)
    assert "\x1b" not in text
    assert text.splitlines()[1].split()[:2] == ["github", "default"]
    assert "10 seconds ago" in text


def test_details_hide_secrets_until_they_are_given() -> None:
    """A key keeps its lines."""
    one = entry(attributes={"account": "o\n\x1b[2J"}, field_names=("private_key",))
    assert "private_key  (hidden)" in details(one, None, NOW)
    shown = details(one, {"private_key": "-----\nx\x07\n-----"}, NOW)
    assert "-----\nx\\x07\n-----" in shown
    assert "\x1b" not in shown
    assert as_dict(one)["fields"] == ["private_key"]


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["show", "github"]])
def test_a_listing_loads_no_cryptography(tmp_path: Path, arguments: list[str]) -> None:
    """What decrypts nothing starts as fast as any command."""
    Vault(tmp_path).put(
        Credential(key=CredentialKey(provider="github"), fields={"token": "x"}, source="cli")
    )
    program = (
        "import sys; from moat.cli.main import run; code = run(['grant', *sys.argv[1:]]);"
        "heavy = {'cryptography', 'keyring', 'yaml', 'asyncio', 'ctypes', 'ssl', 'subprocess'};"
        "sys.exit(f'{code} {heavy & sys.modules.keys()}' if code or heavy & sys.modules.keys() else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"MOAT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "github" in done.stdout
