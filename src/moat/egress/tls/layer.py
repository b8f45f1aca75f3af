"""A plain socket whose bytes travel inside TLS: for a proxy that is itself spoken to with TLS.

Whoever gets the socket may peek into it, wrap it in TLS once more or hand it to a tunnel, as any other;
a second pair of sockets and a copy are the price. TLS has no half-close that asyncio knows: once the
holder has finished sending, the connection ends.
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
    """Takes the connected `carrier`, which is closed with the socket that it gives for it.

    Raises `OSError`, of which `ssl.SSLError` is one, and closes the carrier then.
    """
    loop = asyncio.get_running_loop()
    far, near = _End(), _End()
    far.other, near.other = near, far
    ours, theirs = socket.socketpair()
    try:
        ours.setblocking(False)
        await loop.create_connection(
            lambda: far, sock=carrier, ssl=context, server_hostname=server_name
        )
        await loop.create_connection(lambda: near, sock=theirs)
    except BaseException:
        far.close()
        for each in (carrier, ours, theirs):
            each.close()
        raise
    far.go_on()
    return ours


class _End(StreamProtocol):
    other: _End

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport = cast("asyncio.Transport", transport)
        if self.other._transport is None:  # noqa: SLF001  two ends of one thing
            self.hold()  # what the proxy says at once has nowhere to go yet

    def data_received(self, data: bytes) -> None:
        self.other.write(data)

    def pause_writing(self) -> None:
        self.other.hold()

    def resume_writing(self) -> None:
        self.other.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # The holder sees the end; only what TLS carries can tell whether all has come.
        self.other.close()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def hold(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def go_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """What is still to be written is written first."""
        if self._transport is not None:
            self._transport.close()
