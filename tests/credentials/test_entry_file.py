"""The file of one credential."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.credentials import entry_file
from moat.credentials.credential import CredentialKey, Entry

KEY = CredentialKey(provider="github", scope="o", profile="p")
ENTRY = Entry(
    key=KEY,
    attributes={"account": "öcto"},
    expires_at=1.5,
    source="cli",
    created_at="2030-01-01T00:00:00Z",
    version=7,
    field_names=("token",),
)


@given(st.binary())
def test_a_file_is_read_as_it_was_written(sealed: bytes) -> None:
    """Both lines come back, and the first one byte by byte."""
    line = entry_file.header_line(ENTRY, "k")
    found = entry_file.parse(entry_file.encode(line, sealed))
    assert found.header.entry == ENTRY
    assert (found.associated, found.sealed, found.header.key_id) == (line, sealed, "k")


def test_a_file_of_the_first_version_can_be_read() -> None:
    """What was written by the first version of Moat that had a vault is readable for ever."""
    at = "2026-11-28T22:59:49Z"
    old = (
        f'{{"format": 1, "provider": "npm", "version": 1, "created_at": "{at}", "key_id": "k", '
        '"new": true}\nAAAA\n'
    )
    found = entry_file.parse(old.encode())
    assert found.header.entry == Entry(key=CredentialKey(provider="npm"), version=1, created_at=at)
    assert found.sealed == b"\0\0\0"


@given(st.binary())
def test_other_bytes_are_damage(content: bytes) -> None:
    """Any content is read, or is a `ValueError`."""
    try:
        entry_file.parse(content)
    except ValueError:
        return
    pytest.fail("it was read")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "later version"),
        ({"version": "1"}, "not an integer"),
        ({"key_id": None}, "not a string"),
        ({"attributes": []}, "not an object"),
        ({"profile": "\x1b[2J"}, "can't be the name of a profile"),
        ({"created_at": "now"}, "no time at which it was granted"),
        ({"expires_at": float("inf")}, "no time at which it expires"),
    ],
)
def test_a_wrong_first_line_is_damage(change: dict[str, object], words: str) -> None:
    """A field of another kind is named."""
    head = json.loads(entry_file.header_line(ENTRY, "k")) | change
    with pytest.raises(ValueError, match=words):
        entry_file.parse(json.dumps(head).encode() + b"\nAAAA\n")


def test_a_wrong_second_line_is_damage() -> None:
    """Bytes that are no base64 are not skipped."""
    line = entry_file.header_line(ENTRY, "k")
    with pytest.raises(ValueError, match="second line"):
        entry_file.parse(line + b"\nAA!AA\n")


def test_each_credential_has_a_file_of_its_own() -> None:
    """Names that look alike when they are joined have different files, of a bounded length."""
    keys = [
        CredentialKey(provider="a", scope="b"),
        CredentialKey(provider="a", profile="b"),
        CredentialKey(provider="a", scope="b/../c"),
        CredentialKey(provider="a", scope="x" * 255),
    ]
    names = [entry_file.file_name(key) for key in keys]
    assert len(set(names)) == len(keys)
    assert all(len(name) < 120 and "/" not in name for name in names)
