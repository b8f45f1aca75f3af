"""Bytes both ways, unread: raw TCP that the policy opens, and TLS that it lets through."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from moat.egress.streams import StreamProtocol, break_off, reason

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from moat.spec.network import Timeouts


class Tunnel:
    """Two connections that end together; what one has left unsaid, the other still gets."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ended: Callable[[Tunnel, str], None],
        denial: Callable[[], str],
    ) -> None:
        """`denial`: why the policy, as it is now, does not open it; empty where it does."""
        self._ended = ended
        self._denial = denial
        self._loop = loop
        self.inner = _End(self)
        """In the sandbox."""
        self.outer = _End(self)
        self.inner.other, self.outer.other = self.outer, self.inner
        self._over = False
        self.idle = False
        self.waiting_since = 0.0

    async def join(self, inner: socket.socket, outer: socket.socket) -> None:
        await self._loop.connect_accepted_socket(lambda: self.inner, inner)
        await self._loop.create_connection(lambda: self.outer, sock=outer)

    def check(self, now: float, timeouts: Timeouts) -> None:
        """Ends it when nothing has passed for too long."""
        if now - max(self.inner.moved, self.outer.moved) > timeouts.idle:
            self.close(f"no byte has passed for {timeouts.idle:g} s")

    def reconsider(self) -> None:
        """Ends it where the policy does not open it any more."""
        why = self._denial()
        if why:
            self.close(why)

    def close(self, why: str = "") -> None:
        if not self._over:
            self._over = True
            self.inner.close(abruptly=bool(why))
            self.outer.close(abruptly=bool(why))
            self._ended(self, why)


class _End(StreamProtocol):
    other: _End

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._finished = False
        self._loop = asyncio.get_running_loop()
        self.moved = self._loop.time()
        self.taken = 0
        """Bytes that came in here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport = cast("asyncio.Transport", transport)
        for data in self._early:
            self._transport.write(data)
        self._early.clear()
        if self.other.open:
            self.other.go_on()
        else:
            self._transport.pause_reading()  # there is nowhere for it to go yet

    @property
    def open(self) -> bool:
        return self._transport is not None

    def go_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.moved = self._loop.time()
        self.taken += len(data)
        self.other.write(data)

    def write(self, data: bytes) -> None:
        if self._transport is None:
            self._early.append(data)  # a read or two, before the other end was paused
        else:
            self._transport.write(data)

    def eof_received(self) -> bool:
        self._finished = True
        self.other.finish()
        return not self.other.finished

    @property
    def finished(self) -> bool:
        return self._finished

    def finish(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def pause_writing(self) -> None:
        if self.other._transport is not None:  # noqa: SLF001  two ends of one thing
            self.other._transport.pause_reading()  # noqa: SLF001

    def resume_writing(self) -> None:
        self.other.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # Who has closed its socket answers what still comes, a TLS goodbye say, with a reset.
        if exc is None or self._finished:
            self._tunnel.close()
        else:
            self._tunnel.close(f"broken: {reason(exc)}")

    def close(self, *, abruptly: bool) -> None:
        if self._transport is None:
            return
        if abruptly:
            break_off(self._transport)
        else:
            self._transport.close()
