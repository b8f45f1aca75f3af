"""Peeking into real sockets, whose bytes stay there for the protocol that serves the connection."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from moat.egress.peek import LIMIT, ClosedEarlyError, peek, take

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 120.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The client's end and ours of a TCP connection: only TCP has low-water marks."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    with theirs, ours:
        yield theirs, ours


def _line(data: bytes) -> bytes | None:
    line, end, _ = data.partition(b"\n")
    return line if end else None


async def test_what_is_seen_stays(pair: tuple[socket.socket, socket.socket]) -> None:
    """The bytes stay until they are taken, and no more are taken than asked for."""
    theirs, ours = pair
    theirs.sendall(b"first\nsecond")
    loop = asyncio.get_running_loop()
    assert await peek(loop, ours, _line) == b"first"
    assert await peek(loop, ours, _line) == b"first"
    assert take(ours, 6) == b"first\n"
    assert ours.recv(100) == b"second"


async def test_only_more_wakes_who_looks(pair: tuple[socket.socket, socket.socket]) -> None:
    """An incomplete line is parsed once, not in a busy loop."""
    theirs, ours = pair
    looks: list[bytes] = []
    half = asyncio.Event()

    def look(data: bytes) -> bytes | None:
        looks.append(data)
        half.set()
        return _line(data)

    loop = asyncio.get_running_loop()
    theirs.sendall(b"fir")
    looking = loop.create_task(peek(loop, ours, look))
    async with asyncio.timeout(TIMEOUT_S):
        await half.wait()
        theirs.sendall(b"st\n")
        assert await looking == b"first"
    assert looks == [b"fir", b"first\n"]
    # Whoever comes after is woken by a single byte again.
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


@pytest.mark.parametrize("said", [b"", b"fir"])
async def test_who_leaves_early_is_noticed(
    pair: tuple[socket.socket, socket.socket], said: bytes
) -> None:
    """A client may leave before its message or in the middle of it."""
    theirs, ours = pair
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ClosedEarlyError):
        await peek(asyncio.get_running_loop(), ours, _line)


async def test_who_gives_up_leaves_the_socket_as_it_was(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """A caller that is cancelled leaves the socket as it was."""
    theirs, ours = pair
    theirs.sendall(b"fir")
    half = asyncio.Event()

    def look(data: bytes) -> bytes | None:
        half.set()
        return _line(data)

    loop = asyncio.get_running_loop()
    looking = loop.create_task(peek(loop, ours, look))
    await half.wait()
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
    assert not loop.remove_reader(ours)
    assert ours.recv(LIMIT) == b"fir"
