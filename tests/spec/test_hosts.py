"""The canonical form of host names and addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.spec.hosts import MAX_NAME, canonical_host, is_address


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("a_b.example", "a_b.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("0:0:0:0:0:FFFF:7f00:1", "127.0.0.1"),
        ("::127.0.0.1", "::7f00:1"),
    ],
)
def test_each_spelling_has_one_form(text: str, host: str) -> None:
    """Case, dots, encodings and the C library's forms of an address make no difference."""
    assert canonical_host(text) == host
    assert canonical_host(host) == host


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "a..b", "-a.example", "a-.example", "a b", "user@evil", "allowed.com@evil"),
        *(
            "allowed.com\0.evil",
            "allowed.com%00",
            "a/b",
            "a\\b",
            "a\n",
            "a:b",
            "[::1]",
            "fe80::1%eth0",
        ),
        *("256.0.0.1", "1.2.3.4.5", "1.2.3.4x.5", "08.0.0.1", "4294967296", "*.example"),
        *("a" * 64 + ".example", ("a" * 60 + ".") * 4 + "aaaaaaaaaa", "1" * 5000),
    ],
)
def test_what_is_no_server_is_refused(text: str) -> None:
    """Without a canonical form, it can't evade a rule."""
    with pytest.raises(ValueError):
        canonical_host(text)


@pytest.mark.parametrize(
    "text",
    ["s3cret@a b", "u:s3cret@a", "a_b c?s3cret", "a /s3cret", "x@s3cret@a b", "1.x.1/s3cret"],
)
def test_what_is_no_server_is_not_quoted_with_its_secrets(text: str) -> None:
    """The error is recorded, so it has no user name, password, path or query."""
    with pytest.raises(ValueError) as caught:
        canonical_host(text)
    assert "s3cret" not in str(caught.value)


@given(text=st.text(max_size=40) | st.from_regex(r"[0-9a-fx.:]{1,30}", fullmatch=True))
def test_the_form_is_its_own_form(text: str) -> None:
    """Any text is a `ValueError` or has an ASCII form that stays the same."""
    try:
        host = canonical_host(text)
    except ValueError:
        return
    assert host.isascii()
    assert len(host) <= MAX_NAME
    assert canonical_host(host) == host
    assert is_address(host) == is_address(canonical_host(host))
