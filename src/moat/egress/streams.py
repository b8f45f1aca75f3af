"""Streams for all connections of the proxy: reading and writing without needless copies."""

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

_MAX_SHARE: Final = 256 * 1024
_MIN_SHARE: Final = 16 * 1024
_ALL_SHARES: Final = 32 << 20
_NO_LINGER: Final = struct.pack("ii", 1, 0)
"""SO_LINGER, on, for no time: closing sends a reset (socket(7))."""

# What a connection reads is taken out of the buffer before another reads, so one serves them all.
# (Without it, uvloop allocates 256 KiB for each read of a TLS connection and gives most of it back:
# that took half of the proxy's time.)
_BUFFER: Final = memoryview(bytearray(_MAX_SHARE))


def share(connections: int) -> int:
    """Return how many bytes one of so many connections may read at once, or have waiting.

    Few connections are fast, and thousands don't fill the memory.
    """
    return max(_MIN_SHARE, min(_MAX_SHARE, _ALL_SHARES // connections))


def break_off(connection: socket.socket | asyncio.BaseTransport) -> None:
    """Close a connection with a reset, which nobody takes for the end of a stream (RFC 9293 3.5.3)."""
    if isinstance(connection, socket.socket):
        if connection.fileno() != -1:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            connection.close()
    elif not connection.is_closing():
        sock: socket.socket = connection.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        cast("asyncio.Transport", connection).abort()


def reason(exc: Exception) -> str:
    """Describe a system error, without its number and the details of the call."""
    if isinstance(exc, ssl.SSLError):  # its number is OpenSSL's
        return str(exc)
    if isinstance(exc, OSError) and exc.errno is not None and exc.errno in errno.errorcode:
        return os.strerror(exc.errno).lower()
    return str(exc)


def ending(exc: Exception | None) -> str:
    """Describe how a peer left a connection too early, from the argument of `connection_lost`."""
    return "closed the connection early" if exc is None else f"broke the connection: {reason(exc)}"


class StreamProtocol(asyncio.BufferedProtocol):
    """A protocol like `asyncio.Protocol` that reads into a buffer shared by all connections."""

    _open: ClassVar = 0
    """Connections of this process."""
    _share = _MAX_SHARE
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


class NegotiatedProtocol(asyncio.Protocol):
    """A placeholder until the TLS handshake has settled on a protocol by ALPN (RFC 7301)."""

    def __init__(self, choose: Callable[[str | None], asyncio.BufferedProtocol]) -> None:
        """`choose` makes the protocol by its ALPN name, `None` if none was agreed on."""
        self._choose = choose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        chosen = self._choose(transport.get_extra_info("ssl_object").selected_alpn_protocol())
        transport.set_protocol(chosen)
        chosen.connection_made(transport)
