"""The side that answers, in HTTP/2: one connection for all requests to a server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

from h2.errors import ErrorCodes
from h2.events import InformationalResponseReceived, ResponseReceived
from h2.exceptions import NoAvailableStreamIDError

from moat.egress.http.h2 import heads
from moat.egress.http.h2.connection import HTTP2Connection
from moat.egress.http.h2.stream import Stream
from moat.egress.http.messages import MAX_INFORMATIONAL, NO_BODY, BadMessageError, ResponseHead

if TYPE_CHECKING:
    from h2.events import Event

    from moat.egress.http.interfaces import Destination, ResponseReceiver
    from moat.egress.http.messages import RequestHead
    from moat.egress.traffic.entry import Fields


class Pool(Protocol):
    """The owner of a connection."""

    def lost(self, client: HTTP2Client) -> None:
        """The connection is closed."""
        ...


class HTTP2Client(HTTP2Connection):
    """A connection to a server, each of whose streams serves one exchange."""

    def __init__(self, pool: Pool, destination: Destination, address: str) -> None:
        super().__init__(client=True)
        self._pool = pool
        self.destination = destination
        self.address = address
        self.idle_since = asyncio.get_running_loop().time()
        self.served = 0

    @property
    def usable(self) -> bool:
        """Another stream may be opened."""
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

    def event_received(self, event: Event) -> None:
        if isinstance(event, ResponseReceived | InformationalResponseReceived):
            stream = self.streams.get(event.stream_id or 0)
            if stream is not None:
                section = cast("Fields", event.headers)
                cast("ClientStream", stream).response_received(section, ends=_ends(event))

    def goaway_received(self, last_stream: int) -> None:
        for number in [number for number in self.streams if number > last_stream]:
            stream = self.streams.pop(number)
            stream.closed = True
            stream.lost("takes no further requests on this connection")

    def read_done(self, stream: Stream) -> None:
        cast("ClientStream", stream).flush_response()


def _ends(event: ResponseReceived | InformationalResponseReceived) -> bool:
    return isinstance(event, ResponseReceived) and event.stream_ended is not None


class ClientStream(Stream):
    """The `Upstream` of one exchange."""

    def __init__(self, client: HTTP2Client, *, reused: bool) -> None:
        super().__init__(client, 0)
        self._client = client
        self._exchange: ResponseReceiver | None = None
        self._method = ""
        self._responded = False
        self._informational = 0
        self.address = client.address
        self.reused = reused

    # --- from the server ---

    def response_received(self, section: Fields, *, ends: bool) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        self._responded = True
        try:
            head = self._parse(section, ends=ends)
        except BadMessageError as exc:
            self.reset(ErrorCodes.PROTOCOL_ERROR)
            self._exchange = None
            exchange.failed(502, f"{self._client.destination.host}: {exc}")
            return
        exchange.response_head(head)
        if ends:
            self.ended([])
        self.flush_response()

    def _parse(self, section: Fields, *, ends: bool) -> ResponseHead:
        head = heads.response_head(section, self._method, ends=ends)
        self._informational += head.status < 200
        if self._informational > MAX_INFORMATIONAL:
            raise BadMessageError("too many informational responses")
        return head

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
            exchange.upstream_lost(why, unused=not self._responded)

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
        self._exchange = exchange
        self._method = request.method
        destination = self._client.destination
        try:
            self.number = self._client.h2.get_next_available_stream_id()
        except NoAvailableStreamIDError:
            self._client.terminated = True
            exchange.failed(502, f"{destination.host}: the connection has no streams left")
            return
        self._client.streams[self.number] = self
        section = heads.request_section(request, destination, target)
        self.closed = request.framing == NO_BODY
        self._client.h2.send_headers(self.number, section, end_stream=self.closed)

    def switch(self) -> None:
        raise AssertionError  # RFC 9113 8.6: HTTP/2 has no 101

    def release(self) -> None:
        self.resume()
        self._client.forget(self)

    def abort(self, *, at_once: bool) -> None:
        del at_once  # either way, what waits for the peer's window is never sent
        self._exchange = None
        self.reset(ErrorCodes.CANCEL)
        self._client.forget(self)
