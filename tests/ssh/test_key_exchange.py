"""What a server's bytes show of its session, before they are encrypted."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ssh.messages import packet
from tests.sshd import Relay, SSHServer

from moat.ssh import known_hosts
from moat.ssh.encoding import string, uint32
from moat.ssh.key_exchange import KeyExchange

if TYPE_CHECKING:
    from pathlib import Path

Pairs = list[tuple[bytes, bytes]]


def _read(*pieces: bytes) -> Pairs:
    found: Pairs = []
    exchange = KeyExchange(lambda *pair: found.append(pair))
    for piece in pieces:
        exchange.feed(piece)
    return found


BANNER = b"hello\r\nSSH-2.0-Server\r\n"
REPLY = b"".join(map(string, (b"key", b"public", b"signature")))
NEW_KEYS = packet(b"\x15")
SESSION = BANNER + packet(b"\x14" + bytes(40)) + packet(b"\x1f" + REPLY) + NEW_KEYS


@given(st.lists(st.integers(0, len(SESSION)), max_size=8))
def test_a_reply_is_found_however_it_is_cut(cuts: list[int]) -> None:
    """Host key and signature are found once, whatever pieces the bytes arrive in."""
    places = [0, *sorted(cuts), len(SESSION)]
    assert _read(*(SESSION[a:b] for a, b in pairwise(places))) == [(b"key", b"signature")]


def test_a_group_is_no_reply() -> None:
    """In a group exchange the same number is a message without a signature, and the reply is another."""
    group = packet(b"\x1f" + string(b"p") + string(b"g"))
    assert _read(BANNER + group) == []
    assert _read(BANNER + group + packet(b"\x21" + REPLY)) == [(b"key", b"signature")]


def test_nothing_is_read_behind_the_exchange() -> None:
    """What follows the new keys is encrypted, and a server can't have it taken for a reply."""
    assert _read(BANNER + NEW_KEYS + packet(b"\x1f" + REPLY)) == []


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" * 9,
        BANNER + uint32(1 << 20),
        BANNER + uint32(1) + b"\x00",
        BANNER + uint32(4) + b"\xff\x1f\x00\x00",
        b"SSH-1.5-Old\r\n" + packet(b"\x1f" + REPLY),
    ],
)
def test_what_is_no_ssh_is_let_go(data: bytes) -> None:
    """Another protocol and broken packets show no session, and don't matter otherwise."""
    assert _read(data, packet(b"\x1f" + REPLY)) == []


def test_a_server_is_not_read_for_ever() -> None:
    """A server that never comes to an end of its banner is let go, and its bytes aren't kept."""
    exchange = KeyExchange(lambda *pair: None)
    for _ in range(100):
        exchange.feed(bytes(1000))
    assert not exchange._waiting


@given(st.binary())
def test_any_bytes_are_read(data: bytes) -> None:
    """No bytes of a server make reading fail."""
    _read(data)
    _read(BANNER, data)


class Watch:
    """Watches the connections of a relay."""

    def __init__(self, found: Pairs) -> None:
        self.received = KeyExchange(lambda *pair: found.append(pair)).feed

    def ended(self) -> None:
        """Nothing depends on it."""


@pytest.mark.parametrize("kex", ["curve25519-sha256", "diffie-hellman-group-exchange-sha256"])
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_the_host_key_of_a_real_server_is_seen(tmp_path: Path, kind: str, kex: str) -> None:
    """A real client's session with a real server shows the server's key, by each form of exchange."""
    found: Pairs = []
    options = (
        *("BatchMode=yes", "StrictHostKeyChecking=no", f"KexAlgorithms={kex}"),
        f"UserKnownHostsFile={tmp_path / 'known_hosts'}",
    )
    words = [word for option in options for word in ("-o", option)]
    with (
        SSHServer(tmp_path / "server", kind) as server,
        Relay(server.port, lambda: Watch(found)) as relay,
    ):
        command = ["ssh", "-F", "none", *words, "-p", str(relay.port), "127.0.0.1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "Permission denied" in done.stderr
    (pinned,) = known_hosts.host_keys([f"host {server.host_key}"])
    assert [key for key, _ in found] == [pinned]
