"""The keys of a host, as `known_hosts` has them, and the ways to write a host."""

from __future__ import annotations

import base64
import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from moat.ssh import known_hosts, signatures
from moat.ssh.host_address import HostAddress

A, B = (signatures.public_blob(ed25519.Ed25519PrivateKey.generate()) for _ in "ab")


def _line(blob: bytes, host: str = "git.example") -> str:
    return f"{host} ssh-ed25519 {base64.b64encode(blob).decode()} a comment"


@pytest.mark.parametrize(
    ("text", "expected", "pattern"),
    [
        ("git.example", HostAddress("git.example"), "git.example"),
        ("git@Git.Example", HostAddress("git.example", 22, "git"), "git.example"),
        ("a.b:2222", HostAddress("a.b", 2222), "[a.b]:2222"),
        ("me@[fe80::1]:22", HostAddress("fe80::1", 22, "me"), "fe80::1"),
        ("[::1]", HostAddress("::1"), "::1"),
    ],
)
def test_a_host_as_users_write_it(text: str, expected: HostAddress, pattern: str) -> None:
    """User, host and port are told apart, and the host is named as `known_hosts` names it."""
    address = HostAddress.parse(text)
    assert address == expected
    assert address.pattern == pattern
    assert HostAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@host",
        "a b",
        "-oProxyCommand=x",
        "host:0",
        "host:x",
        "host:70000",
        "*.a",
        "[::1]x",
        "[::1",
        "a,b",
        "a#",
    ],
)
def test_what_is_no_host(text: str) -> None:
    """Patterns, options and broken ports are refused: the name goes into arguments and files."""
    with pytest.raises(ValueError):
        HostAddress.parse(text)


def test_keys_are_found() -> None:
    """Keys are taken from plain lines; revoked ones, authorities and what can't be read are not."""
    lines = [
        "# Host git.example found: line 1",
        "",
        _line(A),
        _line(A, "|1|hashed|name"),
        "@cert-authority " + _line(B),
        "git.example ssh-ed25519 AAAA",
        "git.example ssh-dss AAAAB3NzaC1kc3MAAACB",
        "word",
    ]
    assert known_hosts.host_keys(lines) == (A,)
    assert known_hosts.host_keys([*lines, "@revoked " + _line(A)]) == ()


def test_lines_are_those_that_are_read() -> None:
    """What is written for a client reads back as the same keys."""
    text = known_hosts.lines_for(HostAddress("a", 2222), [A, B])
    assert known_hosts.host_keys(text.splitlines()) == (A, B)
    assert text.startswith("[a]:2222 ssh-ed25519 ")


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """No text, however broken, makes reading fail."""
    known_hosts.host_keys(text.splitlines())
    with contextlib.suppress(ValueError):
        assert HostAddress.parse(text).host
