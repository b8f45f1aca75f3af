"""The side that asked, in HTTP/2: a client's connection, each of whose streams is a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from h2.errors import ErrorCodes
from h2.events import RequestReceived

from moat.egress.http.bad_request import printable
from moat.egress.http.exchange import Exchange
from moat.egress.http.h2 import heads
from moat.egress.http.h2.connection import HTTP2Connection
from moat.egress.http.h2.stream import Stream
from moat.egress.http.interfaces import KEEP_ALIVE, UNUSED
from moat.egress.http.messages import BadMessageError, ResponseHead

if TYPE_CHECKING:
    import asyncio

    from h2.events import Event

    from moat.egress.http.interfaces import ServerGateway
    from moat.egress.http.origin_check import TargetCheck
    from moat.egress.traffic.entry import Fields
    from moat.spec.network import Timeouts

_RESETS: Final = 200
"""Streams that a client may reset, beyond those that it lets finish (CVE-2023-44487)."""


class HTTP2Server(HTTP2Connection):
    """A connection from the sandbox."""

    def __init__(self, gateway: ServerGateway, origin: TargetCheck) -> None:
        super().__init__(client=False)
        self.gateway = gateway
        self._origin = origin
        self._finished = 0
        """Streams that the client did not reset."""
        self._resets = 0
        self._requested = False
        """A request has come, well-formed or not."""
        self.waiting_since = gateway.clock()
        """Time at which the connection began to wait for a request."""
        self.moved = self.waiting_since
        """Time at which a byte last passed, in either direction."""
        self._unfinished = 0
        """The number of the frame or head that is incomplete; 0: none."""
        self._unfinished_since = 0.0

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.gateway.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gateway.closed(self)
        if not self._requested:
            self.gateway.abandoned(self._origin.destination, self._origin.described(UNUSED))
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.moved = self.gateway.clock()
        super().data_received(data)
        if self._frames.unfinished != self._unfinished:
            self._unfinished = self._frames.unfinished
            self._unfinished_since = self.moved

    def resume_writing(self) -> None:
        self._unfinished_since = self.gateway.clock()  # nothing was read in between
        super().resume_writing()

    # --- Connection ---

    @property
    def idle(self) -> bool:
        return not self.streams

    def check(self, now: float, timeouts: Timeouts) -> None:
        if self._is_slow(now, timeouts.header):
            self.h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self.terminate("the head was not completed in time", 408)
        elif self.idle:
            if now - max(self.waiting_since, self.moved) > KEEP_ALIVE:
                self.close()
        elif any(stream.asking for stream in self._server_streams()):
            self.moved = now  # the user's time is not the client's
        elif now - self.moved > timeouts.idle:
            for stream in self._server_streams():
                stream.expire(timeouts.idle)

    def _is_slow(self, now: float, limit: float) -> bool:
        """Tell whether the client has taken too long to complete a frame or a head."""
        reading = not self.full and not self._transport.is_closing()
        return bool(self._unfinished) and reading and now - self._unfinished_since > limit

    def reconsider(self) -> None:
        for stream in self._server_streams():
            stream.reconsider()

    def close(self) -> None:
        self._transport.abort()

    def _server_streams(self) -> list[_ServerStream]:
        return [cast("_ServerStream", stream) for stream in self.streams.values()]

    # --- events ---

    def event_received(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            section = cast("Fields", event.headers)
            self._request(event.stream_id or 0, section, ends=event.stream_ended is not None)

    def _request(self, number: int, section: Fields, *, ends: bool) -> None:
        self._requested = True
        stream = self.streams[number] = _ServerStream(self, number)
        try:
            request = heads.request_head(section, ends=ends)
            checked = self._origin.check(request)
        except BadMessageError as exc:
            self._refuse_request(stream, section, exc)
            return
        exchange = Exchange(self.gateway, stream, request, checked.destination, checked.target)
        stream.exchange = exchange
        if checked.refusal is None:
            exchange.begin()
        else:
            exchange.deny(checked.refusal, checked.status)

    def _refuse_request(
        self, stream: _ServerStream, section: Fields, problem: BadMessageError
    ) -> None:
        fields = dict(section)
        problem.line = printable(fields.get(b":method", b""), fields.get(b":path", b""))
        stream.refuse(problem)
        self.gateway.malformed(self._origin.destination, problem)

    def stream_reset(self) -> None:
        self._resets += 1
        if self._resets > _RESETS + self._finished:
            self.h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self.terminate("streams were opened and reset too fast")

    def terminate(self, why: str, status: int = 400) -> None:
        self._requested = True
        super().terminate(why)
        self.gateway.malformed(self._origin.destination, BadMessageError(why, status))

    def finished(self, stream: _ServerStream) -> None:
        """Forget a stream that is over."""
        self.streams.pop(stream.number, None)
        self._finished += not self.is_reset(stream.number)
        self.waiting_since = self.moved = self.gateway.clock()
        if self.terminated:
            self.close_when_done()


class _ServerStream(Stream):
    """The `Downstream` of one exchange."""

    protocol = "HTTP/2"

    def __init__(self, server: HTTP2Server, number: int) -> None:
        super().__init__(server, number)
        self._server = server
        self.exchange: Exchange | None = None

    # --- from the client ---

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is not None:
            exchange.request_data([data])
            exchange.request_flush()

    def ended(self, trailers: Fields) -> None:
        exchange = self.exchange
        if exchange is not None:
            exchange.request_end(trailers)
            exchange.request_flush()

    def lost(self, why: str) -> None:
        del why
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.downstream_lost()

    def full(self) -> None:
        if self.exchange is not None:
            self.exchange.downstream_full()

    def drained(self) -> None:
        if self.exchange is not None:
            self.exchange.downstream_drained()

    # --- from the server's checks ---

    @property
    def asking(self) -> bool:
        return self.exchange is not None and self.exchange.asking

    def expire(self, seconds: float) -> None:
        if self.exchange is not None:
            self.exchange.failed(504, f"no byte has passed for {seconds:g} s")
        else:
            self.abort()  # the answer is complete, and the client's window takes none of it

    def reconsider(self) -> None:
        if self.exchange is not None:
            self.exchange.reconsider()

    # --- Downstream ---

    def hold(self) -> None:
        self.pause()  # that stops the body alone: the connection is read, and resets with it

    def respond(self, head: ResponseHead) -> None:
        if self.closed:
            return
        section = heads.response_section(head)
        self.connection.h2.send_headers(self.number, section, end_stream=head.ends)
        if head.ends:
            self.closed = True

    def end(self, trailers: Fields) -> None:
        super().end(trailers)
        self.exchange = None
        self.flush()
        if self.closed:
            self._server.finished(self)

    def pump(self) -> None:
        self._server.moved = self._server.gateway.clock()
        super().pump()
        if self.closed and self.exchange is None:
            self._server.finished(self)

    def abort(self) -> None:
        self.exchange = None
        self.reset(ErrorCodes.INTERNAL_ERROR)
        self._server.finished(self)

    def switch(self) -> None:
        raise AssertionError  # RFC 9113 8.6: HTTP/2 has no 101

    def refuse(self, problem: BadMessageError) -> None:
        """Answer a malformed request."""
        body = f"moat: malformed request: {problem}\n".encode()
        self.respond(ResponseHead(problem.status, [(b"content-type", b"text/plain")], len(body)))
        self.send([body])
        self.end([])
