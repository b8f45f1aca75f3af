"""The side that answers, in HTTP/2: one connection for all requests to a server."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, Protocol, cast

from h2.errors import ErrorCodes
from h2.events import InformationalResponseReceived, ResponseReceived
from h2.exceptions import NoAvailableStreamIDError

from moat.egress.http.fields import NOT_FORWARDED, content_length
from moat.egress.http.h2.connection import HTTP2Connection, Stream, checked_fields
from moat.egress.http.messages import (
    CHUNKED,
    MAX_INFORMATIONAL,
    NO_BODY,
    BadMessageError,
    ResponseHead,
)

if TYPE_CHECKING:
    from h2.events import Event

    from moat.egress.http.interfaces import Destination, ResponseReceiver
    from moat.egress.http.messages import RequestHead
    from moat.egress.traffic.entry import Fields

_STATUS: Final = re.compile(rb"[1-9][0-9]{2}")


class Pool(Protocol):
    """The owner of a connection."""

    def lost(self, client: HTTP2Client) -> None:
        """The connection is closed."""
        ...


class HTTP2Client(HTTP2Connection):
    def __init__(self, pool: Pool, destination: Destination, address: str) -> None:
        super().__init__(client=True)
        self._pool = pool
        self.destination = destination
        self.address = address
        self.idle_since = asyncio.get_running_loop().time()
        self.served = 0

    @property
    def usable(self) -> bool:
        """Whether it takes another stream."""
        return (
            not self.terminated
            and not self._transport.is_closing()
            and self.h2.open_outbound_streams < self.h2.remote_settings.max_concurrent_streams
        )

    def stream(self) -> ClientStream:
        self.served += 1
        return ClientStream(self, reused=self.served > 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.lost(self)
        super().connection_lost(exc)

    def close(self) -> None:
        self._transport.abort()

    def forget(self, stream: ClientStream) -> None:
        self.streams.pop(stream.number, None)
        self.idle_since = asyncio.get_running_loop().time()
        if self.terminated:
            self.close_when_done()

    def happened(self, event: Event) -> None:
        if isinstance(event, ResponseReceived | InformationalResponseReceived):
            stream = self.streams.get(event.stream_id or 0)
            if stream is not None:
                self.count_here(stream.number)
                cast("ClientStream", stream).answered(
                    cast("Fields", event.headers), ends=_ends(event)
                )

    def went_away(self, last_stream: int) -> None:
        for number in [number for number in self.streams if number > last_stream]:
            stream = self.streams.pop(number)
            stream.closed = True
            stream.lost("takes no further requests on this connection")

    def settled(self, stream: Stream) -> None:
        cast("ClientStream", stream).flush_response()


def _ends(event: ResponseReceived | InformationalResponseReceived) -> bool:
    return isinstance(event, ResponseReceived) and event.stream_ended is not None


class ClientStream(Stream):
    """`Upstream` of an exchange."""

    def __init__(self, client: HTTP2Client, *, reused: bool) -> None:
        super().__init__(client, 0)
        self._client = client
        self._exchange: ResponseReceiver | None = None
        self._method = ""
        self._begun = False
        self._informational = 0
        self.address = client.address
        self.reused = reused

    # --- what the server does ---

    def answered(self, headers: Fields, *, ends: bool) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        self._begun = True
        try:
            head = _response(headers, self._method, ends=ends)
            self._informational += head.status < 200
            if self._informational > MAX_INFORMATIONAL:
                raise BadMessageError("too many informational responses")
        except BadMessageError as exc:
            self.reset(ErrorCodes.PROTOCOL_ERROR)
            self._exchange = None
            exchange.failed(502, f"{self._client.destination.host}: {exc}")
            return
        exchange.response_head(head)
        if ends:
            self.ended([])
        self.flush_response()

    def data_received(self, data: bytes) -> None:
        if self._exchange is not None:
            self._exchange.response_data([data])

    def ended(self, trailers: Fields) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.response_end(trailers)

    def lost(self, why: str) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            why = f"{self._client.destination.host} {why}"
            exchange.upstream_lost(why, unused=not self._begun)

    def full(self) -> None:
        if self._exchange is not None:
            self._exchange.upstream_full()

    def drained(self) -> None:
        if self._exchange is not None:
            self._exchange.upstream_drained()

    def flush_response(self) -> None:
        if self._exchange is not None:
            self._exchange.response_flush()

    # --- Upstream ---

    def request(self, exchange: ResponseReceiver, request: RequestHead, target: str) -> None:
        destination = self._client.destination
        self._exchange = exchange
        self._method = request.method
        fields = [
            (b":method", request.method.encode("ascii")),
            (b":scheme", destination.scheme.encode("ascii")),
            (b":authority", destination.authority),
            (b":path", target.encode("ascii")),
        ]
        fields += [(name.lower(), value) for name, value in request.fields]
        if request.framing > 0:
            fields.append((b"content-length", b"%d" % request.framing))
        if request.continues:
            fields.append((b"expect", b"100-continue"))
        h2 = self._client.h2
        try:
            self.number = h2.get_next_available_stream_id()
        except NoAvailableStreamIDError:
            self._client.terminated = True
            exchange.failed(502, f"{destination.host}: the connection is used up")
            return
        self._client.streams[self.number] = self
        h2.send_headers(self.number, fields, end_stream=request.framing == NO_BODY)
        if request.framing == NO_BODY:
            self.closed = True  # there is nothing to send any more

    def switch(self) -> None:
        raise AssertionError  # RFC 9113 8.6: there is no 101

    def release(self) -> None:
        self.resume()
        self._client.forget(self)

    def abort(self, *, at_once: bool) -> None:
        del at_once  # what waits for the peer's window never goes out
        self._exchange = None
        self.reset(ErrorCodes.CANCEL)
        self._client.forget(self)


def _response(headers: Fields, method: str, *, ends: bool) -> ResponseHead:
    status = 0
    length: int | None = None
    fields: Fields = []
    for name, value in headers:
        if name == b":status":
            if not _STATUS.fullmatch(value):
                raise BadMessageError("malformed status")
            status = int(value)
        elif name == b"content-length":
            length = content_length(value)
        elif name not in NOT_FORWARDED:
            fields.append((name, value))
    checked_fields(fields)
    head = ResponseHead(status, fields, CHUNKED if length is None else length)
    head.length = length
    if method == "HEAD" or status < 200 or status in {204, 304}:
        head.framing = NO_BODY
        head.ends = status >= 200
    elif ends and head.framing > 0:  # RFC 9113 8.1.1
        raise BadMessageError("there is a Content-Length and no body")
    # gRPC says so that a call has failed; it understands no head that ends one frame later. A length
    # of 0 alone is no such end: trailers may follow.
    head.ends = head.ends or ends
    return head
