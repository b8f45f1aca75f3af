"""Keys by name, as `moat send --key` takes them."""

from __future__ import annotations

import pytest

from moat.errors import UsageError
from moat.keyboard.key_names import encode_key


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("Enter", b"\r"),
        ("Up", b"\x1b[A"),
        ("F1", b"\x1bOP"),
        ("F5", b"\x1b[15~"),
        ("F12", b"\x1b[24~"),
        ("a", b"a"),
        ("ü", "ü".encode()),
        ("C-c", b"\x03"),
        ("ctrl-C", b"\x03"),
        ("C-/", b"\x1f"),
        ("C-Space", b"\x00"),
        ("M-x", b"\x1bx"),
        ("alt-X", b"\x1bX"),
        ("M-C-c", b"\x1b\x03"),
        ("M-Left", b"\x1b\x1b[D"),
        ("-", b"-"),
    ],
)
def test_a_key_is_what_xterm_sends_for_it(name: str, sent: bytes) -> None:
    """Names are read in any case; characters, which a shifted letter is, as they are."""
    assert encode_key(name) == sent


@pytest.mark.parametrize("name", ["", "Entre", "C-", "C-F1", "ctrl-ü", "M-Entre"])
def test_an_unknown_key_is_said_so(name: str) -> None:
    """A key that has no name is refused, with those that there are."""
    with pytest.raises(UsageError, match="there is no key"):
        encode_key(name)
