"""The side that asked, in HTTP/2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

from h2.errors import ErrorCodes
from h2.events import RequestReceived

from moat.egress.http.bad_request import described
from moat.egress.http.exchange import Exchange
from moat.egress.http.fields import (
    NOT_FORWARDED,
    content_length,
    overriding_methods,
    rerouted_targets,
)
from moat.egress.http.h2.connection import HTTP2Connection, Stream, checked_fields
from moat.egress.http.interfaces import KEEP_ALIVE
from moat.egress.http.messages import CHUNKED, BadMessageError, RequestHead, ResponseHead
from moat.egress.http.origin_check import LEFT

if TYPE_CHECKING:
    import asyncio

    from h2.events import Event

    from moat.egress.http.interfaces import Gateway
    from moat.egress.http.origin_check import Arrival
    from moat.egress.traffic.entry import Fields
    from moat.spec.network import Timeouts

_RESETS: Final = 200
"""Streams that a client may give up, beyond those that it lets finish (CVE-2023-44487)."""

_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
_TARGET: Final = re.compile(rb"[\x21-\x7e]+")
_OWN: Final = NOT_FORWARDED | {b"cookie"}


class HTTP2Server(HTTP2Connection):
    def __init__(self, gateway: Gateway, arrival: Arrival) -> None:
        super().__init__(client=False)
        self.gateway = gateway
        self._arrival = arrival
        self._finished = 0
        self._resets = 0
        self._asked = False
        """There has been a request, or what was taken for one."""
        self.waits_since = gateway.clock()
        """When it began to wait for a request."""
        self.moved = self.waits_since
        self._unfinished = 0
        """Which frame or head the client has not completed; 0: none."""
        self._begun = 0.0
        """When it began with that."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._arrival.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrival.closed(self)
        if not self._asked:
            self._arrival.left(LEFT)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.moved = self.gateway.clock()
        super().data_received(data)
        if self._frames.unfinished != self._unfinished:
            self._unfinished = self._frames.unfinished
            self._begun = self.moved

    def resume_writing(self) -> None:
        self._begun = self.gateway.clock()  # until now nothing was read
        super().resume_writing()

    @property
    def idle(self) -> bool:
        return not self.streams

    def check(self, now: float, timeouts: Timeouts) -> None:
        """Ends what has taken too long."""
        if self._is_slow(now, timeouts.header):
            self.h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self.terminate("the head did not come to an end", 408)
        elif self.idle:
            if now - max(self.waits_since, self.moved) > KEEP_ALIVE:
                self.close()
        elif any(cast("_ServerStream", stream).asking for stream in self.streams.values()):
            self.moved = now  # the user's time is not the client's
        elif now - self.moved > timeouts.idle:
            for stream in tuple(self.streams.values()):
                cast("_ServerStream", stream).expire(timeouts.idle)

    def _is_slow(self, now: float, limit: float) -> bool:
        reading = not self.full and not self._transport.is_closing()
        return bool(self._unfinished) and reading and now - self._begun > limit

    def reconsider(self) -> None:
        for stream in tuple(self.streams.values()):
            cast("_ServerStream", stream).reconsider()

    def close(self) -> None:
        self._transport.abort()

    def happened(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._requested(event)

    def was_reset(self) -> None:
        self._resets += 1
        if self._resets > _RESETS + self._finished:
            self.h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self.terminate("streams were opened and reset too fast")

    def terminate(self, why: str, status: int = 400) -> None:
        self._asked = True
        super().terminate(why)
        self._arrival.malformed(BadMessageError(why, status))

    def finished(self, stream: _ServerStream) -> None:
        self.streams.pop(stream.number, None)
        self._finished += not self.has_lost(stream.number)
        self.waits_since = self.moved = self.gateway.clock()
        if self.terminated:
            self.close_when_done()

    def _requested(self, event: RequestReceived) -> None:
        self._asked = True
        number = event.stream_id or 0
        stream = _ServerStream(self, number)
        self.streams[number] = stream
        self.count_here(number)
        headers = cast("Fields", event.headers)
        try:
            request = _request(headers, ends=event.stream_ended is not None)
            stream.minor = request.minor
            found = self._arrival.destination_of(request)
        except BadMessageError as exc:
            said = dict(headers)
            exc.line = described(said.get(b":method", b""), said.get(b":path", b""))
            stream.refuse(exc)
            self._arrival.malformed(exc)
            return
        exchange = Exchange(self.gateway, stream, request, found.destination, found.target)
        stream.exchange = exchange
        if found.refusal is None:
            exchange.begin()
        else:
            exchange.deny(found.refusal, found.status)


class _ServerStream(Stream):
    """`Downstream` of an exchange."""

    protocol = "HTTP/2"

    def __init__(self, server: HTTP2Server, number: int) -> None:
        super().__init__(server, number)
        self._server = server
        self.exchange: Exchange | None = None
        self.minor = 1

    # --- what the client does ---

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

    @property
    def asking(self) -> bool:
        return self.exchange is not None and self.exchange.asking

    def expire(self, seconds: float) -> None:
        if self.exchange is not None:
            self.exchange.failed(504, f"no byte has passed for {seconds:g} s")

    def reconsider(self) -> None:
        if self.exchange is not None:
            self.exchange.reconsider()

    # --- Downstream ---

    def hold(self) -> None:
        self.pause()  # which stops the body alone: the connection is read, and resets with it

    def respond(self, head: ResponseHead) -> None:
        if self.closed:
            return
        fields = [(b":status", b"%d" % head.status)]
        fields += [(name.lower(), value) for name, value in head.fields]
        if head.length is not None and head.status >= 200:
            fields.append((b"content-length", b"%d" % head.length))
        self.connection.h2.send_headers(self.number, fields, end_stream=head.ends)
        if head.ends:
            self.closed = True  # there is nothing to send any more

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
        raise AssertionError  # RFC 9113 8.6: there is no 101

    def refuse(self, problem: BadMessageError) -> None:
        body = f"moat: malformed request: {problem}\n".encode()
        self.respond(ResponseHead(problem.status, [(b"content-type", b"text/plain")], len(body)))
        self.send([body])
        self.end([])


def _request(headers: Fields, *, ends: bool) -> RequestHead:
    """Raises `BadMessageError` for what could not be said in HTTP/1.1."""
    pseudo = {name: value for name, value in headers if name.startswith(b":")}
    regular = checked_fields([field for field in headers if not field[0].startswith(b":")])
    own = {name: value for name, value in regular if name in _OWN}
    method, target = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    if method == b"CONNECT" or b":protocol" in pseudo:
        raise BadMessageError("CONNECT is for the proxy's own port", 405)
    if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
        raise BadMessageError("malformed method or path")
    host = pseudo.get(b":authority", own.get(b"host"))
    if host is None or own.get(b"host", host) != host or target[:1] not in b"/*":
        raise BadMessageError(":authority, host and :path don't fit together")
    fields = [field for field in regular if field[0] not in _OWN]
    crumbs = [value for name, value in regular if name == b"cookie"]
    if crumbs:  # RFC 9113 8.2.3
        fields.append((b"cookie", b"; ".join(crumbs)))
    if own.get(b"te", b"").lower() == b"trailers":
        fields.append((b"te", b"trailers"))
    request = RequestHead(method.decode("ascii"), target.decode("ascii"), fields)
    request.host = host
    request.overriding = overriding_methods(regular)
    request.rerouted = rerouted_targets(regular)
    request.continues = own.get(b"expect", b"").lower() == b"100-continue"
    length = own.get(b"content-length")
    said = CHUNKED if length is None else content_length(length)
    if not ends:
        request.framing = said
    elif said > 0:  # RFC 9113 8.1.1
        raise BadMessageError("there is a Content-Length and no body")
    return request
