"""Peek at the first bytes of a connection and leave them in the socket.

Which protocol serves a connection depends on what comes first, and that protocol must find it there.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

LIMIT: Final = 128 * 1024

# The bytes stay in the socket, so one buffer serves all connections.
_BUFFER: Final = memoryview(bytearray(LIMIT))

T = TypeVar("T")


class ClosedEarlyError(ConnectionError):
    """The peer closed the connection before it had sent enough."""


async def peek(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, parse: Callable[[bytes], T | None]
) -> T:
    """Wait until `parse` returns something for the bytes that have arrived, and return it.

    Raises what `parse` raises, `ClosedEarlyError` and `OSError`.
    """
    parsed = 0
    try:
        while True:
            try:
                size = sock.recv_into(_BUFFER, flags=socket.MSG_PEEK)
            except BlockingIOError:
                await _readable(loop, sock)
                continue
            if size <= parsed:
                raise ClosedEarlyError
            result = parse(_BUFFER[:size].tobytes())
            if result is not None:
                return result
            parsed = size
            # The bytes that are there stay there, so only more of them may wake us (socket(7)).
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, parsed + 1)
            await _readable(loop, sock)
    finally:
        if parsed and sock.fileno() != -1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


def take(sock: socket.socket, size: int) -> bytes:
    """Take bytes that `peek` has seen out of the socket."""
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
