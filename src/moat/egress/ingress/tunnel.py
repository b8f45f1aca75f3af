"""A tunnel: bytes both ways, unread. Raw TCP that the policy opens, and TLS that it lets through."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from moat.egress.streams import StreamProtocol, break_off, reason

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from moat.spec.network import Timeouts


class Tunnel:
    """Two connections that end together, once each has got what the other still had to say."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ended: Callable[[Tunnel, str], None],
        denial: Callable[[], str],
    ) -> None:
        """`ended` is called once, with the reason if the tunnel was broken.

        `denial` returns why the policy, as it is now, does not open the tunnel; empty while it does.
        """
        self._loop = loop
        self._ended = ended
        self._denial = denial
        self.client = _Side(self)
        self.server = _Side(self)
        self.client.other, self.server.other = self.server, self.client
        self._over = False
        self.idle = False
        self.waiting_since = 0.0

    async def join(self, client: socket.socket, server: socket.socket) -> None:
        """Pass bytes between two connected sockets from now on."""
        await self._loop.connect_accepted_socket(lambda: self.client, client)
        await self._loop.create_connection(lambda: self.server, sock=server)

    def check(self, now: float, timeouts: Timeouts) -> None:
        """Break the tunnel off if no byte has passed for too long."""
        if now - max(self.client.last_read, self.server.last_read) > timeouts.idle:
            self.close(f"no byte has passed for {timeouts.idle:g} s")

    def reconsider(self) -> None:
        """Break the tunnel off if the policy does not open it any more."""
        why = self._denial()
        if why:
            self.close(why)

    def close(self, why: str = "") -> None:
        """Close both connections; with a reason, by resets."""
        if not self._over:
            self._over = True
            self.client.close(abruptly=bool(why))
            self.server.close(abruptly=bool(why))
            self._ended(self, why)


class _Side(StreamProtocol):
    """One connection of a tunnel, which passes what it reads to the other."""

    other: _Side

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        """Data that came for this side before it was connected."""
        self._finished = False
        """The peer sends no more."""
        self.last_read = self._loop.time()
        self.received = 0
        """Bytes read on this side."""
        self.watched: Callable[[bytes], None] | None = None
        """Sees what is read on this side before the other side gets it."""
        self.may_send: Callable[[int], str] | None = None
        """Returns why so many more bytes may not go to the other side; empty if they may."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport = cast("asyncio.Transport", transport)
        for data in self._early:
            self._transport.write(data)
        self._early.clear()
        if self.other.connected:
            self.other.resume()
        else:
            self._transport.pause_reading()  # there is nowhere for it to go yet

    @property
    def connected(self) -> bool:
        return self._transport is not None

    @property
    def finished(self) -> bool:
        return self._finished

    def data_received(self, data: bytes) -> None:
        self.last_read = self._loop.time()
        self.received += len(data)
        if self.may_send is not None:
            why = self.may_send(len(data))
            if why:
                self._tunnel.close(why)
                return
        if self.watched is not None:
            self.watched(data)
        self.other.write(data)

    def eof_received(self) -> bool:
        self._finished = True
        self.other.finish()
        return not self.other.finished

    def pause_writing(self) -> None:
        self.other.pause()

    def resume_writing(self) -> None:
        self.other.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # A peer that has closed answers what still comes, such as a close_notify, with a reset.
        if exc is None or self._finished:
            self._tunnel.close()
        else:
            self._tunnel.close(f"broken: {reason(exc)}")

    # --- what the other side asks for ---

    def write(self, data: bytes) -> None:
        if self._transport is None:
            self._early.append(data)  # a read or two, before the other side was paused
        else:
            self._transport.write(data)

    def finish(self) -> None:
        """Send no more: what is still to be written is written first."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self, *, abruptly: bool) -> None:
        if self._transport is None:
            return
        if abruptly:
            break_off(self._transport)
        else:
            self._transport.close()
