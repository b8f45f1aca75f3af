"""Looking at what a client sends first, without taking it: who serves the connection depends on it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

LIMIT: Final = 128 * 1024

# What is looked at stays in the socket, so one buffer serves all.
_BUFFER: Final = memoryview(bytearray(LIMIT))

T = TypeVar("T")


class ClosedEarlyError(ConnectionError):
    """The client left before it had said what it wants."""


async def peek(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, parse: Callable[[bytes], T | None]
) -> T:
    """Waits until `parse` makes something of what has arrived, and leaves it there.

    Raises what `parse` raises, and `ClosedEarlyError`.
    """
    seen = 0
    try:
        while True:
            try:
                size = sock.recv_into(_BUFFER, flags=socket.MSG_PEEK)
            except BlockingIOError:
                await _readable(loop, sock)
                continue
            if size <= seen:
                raise ClosedEarlyError
            found = parse(_BUFFER[:size].tobytes())
            if found is not None:
                return found
            seen = size
            # What is there stays there, so only more of it may wake us (socket(7)).
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, seen + 1)
            await _readable(loop, sock)
    finally:
        if seen and sock.fileno() != -1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


def take(sock: socket.socket, size: int) -> bytes:
    """Takes what was seen by `peek`, and nothing after it."""
    return sock.recv(size)


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    ready = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock, wake)
    try:
        await ready
    finally:
        loop.remove_reader(sock)
