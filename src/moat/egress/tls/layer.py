"""A plain socket whose bytes travel inside TLS, for a parent proxy that is itself reached over TLS.

The socket can be peeked into, wrapped in TLS once more or joined to a tunnel like any other. The price
is a pair of sockets and a copy. asyncio has no half-close for TLS: once the owner of the socket has
finished sending, the connection ends.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

from moat.egress.streams import StreamProtocol

if TYPE_CHECKING:
    import ssl


async def inside_tls(
    carrier: socket.socket, context: ssl.SSLContext, server_name: str
) -> socket.socket:
    """Return a socket that is carried by a connected one, inside TLS. Takes over the carrier.

    Raises `OSError`, of which `ssl.SSLError` is one, after closing the carrier.
    """
    loop = asyncio.get_running_loop()
    tls, plain = _Side(), _Side()
    tls.other, plain.other = plain, tls
    ours, theirs = socket.socketpair()
    try:
        ours.setblocking(False)
        await loop.create_connection(
            lambda: tls, sock=carrier, ssl=context, server_hostname=server_name
        )
        await loop.create_connection(lambda: plain, sock=theirs)
    except BaseException:
        tls.close()
        for each in (carrier, ours, theirs):
            each.close()
        raise
    tls.resume()
    return ours


class _Side(StreamProtocol):
    """One side of the relay: the TLS connection, or the far end of the plain socket."""

    other: _Side

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport = cast("asyncio.Transport", transport)
        if self.other._transport is None:  # noqa: SLF001  two sides of one relay
            self.pause()  # what comes at once has nowhere to go yet

    def data_received(self, data: bytes) -> None:
        self.other.write(data)

    def pause_writing(self) -> None:
        self.other.pause()

    def resume_writing(self) -> None:
        self.other.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # The owner of the socket sees its end; only the protocol inside can tell if it is complete.
        self.other.close()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close the connection once what is still to be written has been written."""
        if self._transport is not None:
            self._transport.close()
