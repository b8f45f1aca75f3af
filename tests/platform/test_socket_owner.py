"""Who has connected, by the kernel's word."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from moat.platform.socket_owner import owner

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER = 54321
CONNECT = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
sock = socket.socket()
sock.connect((b"127.0.0.1", int(sys.argv[1])))
sys.stdin.read()
"""


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["4", "6"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family, address = request.param
    with socket.create_server((address, 0), family=family) as sock:
        yield sock


def test_a_connection_of_this_process_is_its_users(listener: socket.socket) -> None:
    """In both families, also once the client has nothing more to say."""
    address = listener.getsockname()[:2]
    with socket.create_connection(address) as client, listener.accept()[0] as accepted:
        assert owner(accepted) == os.geteuid()
        client.shutdown(socket.SHUT_WR)
        assert owner(accepted) == os.geteuid()


def test_a_client_that_has_left_is_nobodys(listener: socket.socket) -> None:
    """The kernel says root of it, which must not count: anybody can leave."""
    client = socket.create_connection(listener.getsockname()[:2])
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    client.close()
    with listener.accept()[0] as accepted:
        assert owner(accepted) is None


def test_a_listener_at_the_port_of_a_client_that_has_left_is_not_the_client() -> None:
    """The kernel answers with it where the connection itself is gone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        place = client.getsockname()
        accepted, _ = listener.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        with accepted:
            peer = accepted.dup()
            client.close()
            with (
                socket.create_server(place),
                pytest.raises(OSError, match="not connected"),
            ):
                owner(peer)
            peer.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users' processes")
def test_another_users_connection_is_not_ours() -> None:
    """Whoever the loopback is open to is told apart."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = subprocess.Popen(
            [sys.executable, "-c", CONNECT, str(port), str(OTHER)], stdin=subprocess.PIPE
        )
        try:
            listener.settimeout(120)
            with listener.accept()[0] as accepted:
                assert owner(accepted) == OTHER
        finally:
            client.communicate()
