"""What both sides of the proxy share of asyncio: reading and writing without needless copies."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import struct
from typing import TYPE_CHECKING, ClassVar, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST: Final = 256 * 1024
_LEAST: Final = 16 * 1024
_TOGETHER: Final = 32 << 20
_DISCARD: Final = struct.pack("ii", 1, 0)
"""SO_LINGER, on, for no time: closing sends a reset (socket(7))."""

# What a connection reads is taken out of the buffer before another reads, so one serves them all.
# (Without it, uvloop allocates 256 KiB for each read of a TLS connection, and gives most of it back:
# half of the proxy's time went there.)
_BUFFER: Final = memoryview(bytearray(_MOST))


def share(connections: int) -> int:
    """Bytes that one of so many may read at once, and have waiting before the other side must stop.

    Few are fast, and thousands don't fill the memory.
    """
    return max(_LEAST, min(_MOST, _TOGETHER // connections))


def break_off(connection: socket.socket | asyncio.BaseTransport) -> None:
    """Closes it with a reset, which no reader takes for the end of what was sent (RFC 9293, 3.5.3)."""
    if isinstance(connection, socket.socket):
        if connection.fileno() != -1:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
            connection.close()
    elif not connection.is_closing():
        sock: socket.socket = connection.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
        cast("asyncio.Transport", connection).abort()


def reason(exc: Exception) -> str:
    """Of an error of the system, what it means, without its number and the details of the call."""
    if isinstance(exc, ssl.SSLError):  # its number is OpenSSL's
        return str(exc)
    if isinstance(exc, OSError) and exc.errno is not None and exc.errno in errno.errorcode:
        return os.strerror(exc.errno).lower()
    return str(exc)


def ending(exc: Exception | None) -> str:
    """How the other end has left a connection too early, from what `connection_lost` is told."""
    return "closed the connection early" if exc is None else f"broke the connection: {reason(exc)}"


class StreamProtocol(asyncio.BufferedProtocol):
    """`asyncio.Protocol` over a buffer shared by all."""

    _open: ClassVar = 0
    """Connections of this process."""
    _share = _MOST
    _buffer = _BUFFER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        StreamProtocol._open += 1
        self._share = share(StreamProtocol._open)
        self._buffer = _BUFFER[: self._share]
        cast("asyncio.Transport", transport).set_write_buffer_limits(self._share)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        StreamProtocol._open -= 1

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(_BUFFER[:nbytes].tobytes())

    def data_received(self, data: bytes) -> None:
        raise NotImplementedError


class ByALPN(asyncio.Protocol):
    """Becomes the protocol that the TLS handshake has settled on (RFC 7301)."""

    def __init__(self, choose: Callable[[str | None], asyncio.BufferedProtocol]) -> None:
        self._choose = choose
        self.chosen: asyncio.BufferedProtocol | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.chosen = self._choose(transport.get_extra_info("ssl_object").selected_alpn_protocol())
        transport.set_protocol(self.chosen)
        self.chosen.connection_made(transport)
