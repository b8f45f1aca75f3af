"""The sockets of the name server: where replies come from, and connections with many questions."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import closing

import pytest
from tests.egress.wires import Wire

from moat.egress.dns.server import TCPResponder, UDPResponder
from moat.spec.network import Timeouts


def _echo(query: bytes, transport: str) -> bytes | None:
    return None if query == b"ignored" else transport.encode() + b" " + query


@pytest.mark.parametrize(
    ("family", "everywhere", "asked"),
    [(socket.AF_INET, "0.0.0.0", "127.9.8.7"), (socket.AF_INET6, "::", "::1")],
)
async def test_a_reply_comes_from_the_address_that_was_asked(
    family: socket.AddressFamily, everywhere: str, asked: str
) -> None:
    """A resolver accepts no other source; a question without a reply delays no other."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((everywhere, 0))
    port = sock.getsockname()[1]
    with (
        closing(UDPResponder(sock, loop, _echo)),
        socket.socket(family, socket.SOCK_DGRAM) as client,
    ):
        client.setblocking(False)
        client.connect((asked, port))  # so that the kernel drops what comes from elsewhere
        client.send(b"ignored")
        client.send(b"question")
        assert await loop.sock_recv(client, 512) == b"udp question"


class Connections:
    def __init__(self) -> None:
        self.open: list[TCPResponder] = []

    def opened(self, connection: TCPResponder) -> None:
        self.open.append(connection)

    def closed(self, connection: TCPResponder) -> None:
        self.open.remove(connection)


def _message(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def _connected() -> tuple[TCPResponder, Wire, Connections, list[str]]:
    wire, connections, left = Wire(), Connections(), list[str]()
    responder = TCPResponder(_echo, connections, lambda: left.append("left"))
    responder.connection_made(wire)
    assert connections.open == [responder]
    return responder, wire, connections, left


def test_a_connection_may_ask_any_number_of_questions() -> None:
    """However they are cut into pieces; each is answered in turn."""
    responder, wire, connections, left = _connected()
    asked = _message(b"one") + _message(b"two")
    responder.data_received(asked[:3])
    responder.data_received(asked[3:])
    assert wire.take() == _message(b"tcp one") + _message(b"tcp two")
    responder.connection_lost(None)
    assert connections.open == []
    assert left == []


def test_what_gets_no_reply_ends_the_connection() -> None:
    """Nobody would know which answer is missing."""
    responder, wire, _, _ = _connected()
    responder.data_received(_message(b"ignored") + _message(b"one"))
    assert wire.closed
    assert wire.take() == b""


def test_a_client_that_leaves_without_a_question_is_reported() -> None:
    """The record then has the connection."""
    responder, _, _, left = _connected()
    responder.connection_lost(None)
    assert left == ["left"]


def test_a_silent_connection_is_closed() -> None:
    """After the time of DNS, whatever other protocols have; until then it may be closed for room."""
    responder, wire, _, _ = _connected()
    assert responder.idle
    responder.check(time.monotonic() + 29, Timeouts(idle=1))
    responder.reconsider()
    assert not wire.closed
    responder.check(time.monotonic() + 31, Timeouts(idle=1))
    assert wire.closed
