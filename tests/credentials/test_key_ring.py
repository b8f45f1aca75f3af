"""The keys as they are kept."""

from __future__ import annotations

import pytest

from moat.credentials import key_ring
from moat.credentials.key_ring import KeyRing

OLD, NEW = bytearray(b"o" * 32), bytearray(b"n" * 32)


def test_a_ring_comes_back() -> None:
    """Old keys stay beside the new one until they are dropped."""
    ring = KeyRing("old", {"old": OLD}).with_new("new", NEW)
    assert key_ring.decode(key_ring.encode(ring)) == KeyRing("new", {"old": OLD, "new": NEW})
    assert ring.only_current() == KeyRing("new", {"new": NEW})


def test_a_ring_shows_no_key() -> None:
    """The repr of a ring has the name of the current key alone."""
    assert repr(KeyRing("old", {"old": OLD})) == "KeyRing(current='old')"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"current": "a", "keys": {}}',
        '{"current": "a", "keys": {"a": "!"}}',
        '{"current": "a", "keys": {"a": 1}}',
        '{"current": "a", "keys": ["s3cret"]}',
        "s3cret",
    ],
)
def test_damage_is_not_quoted(text: str) -> None:
    """The error about a damaged key has none of it."""
    with pytest.raises(ValueError) as caught:
        key_ring.decode(text)
    assert str(caught.value) == "the vault's key is damaged"
