"""The side that answers, in HTTP/1.1: a connection to a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from moat.egress.http.h1 import parser, writer
from moat.egress.http.h1.bodies import BodyReader, EndlessReader, MaskingReader, body_reader
from moat.egress.http.h1.connection import HTTP1Connection
from moat.egress.http.messages import CHUNKED, MAX_INFORMATIONAL, NO_BODY, BadMessageError
from moat.egress.streams import ending

if TYPE_CHECKING:
    from moat.egress.http.interfaces import Destination, ResponseReceiver
    from moat.egress.http.messages import RequestHead, ResponseHead
    from moat.egress.http.secret_masking import Secrets
    from moat.egress.traffic.entry import Fields


class Pool(Protocol):
    """The owner of a connection."""

    def released(self, client: HTTP1Client) -> None:
        """The connection is free for another request."""
        ...

    def lost(self, client: HTTP1Client) -> None:
        """The connection is closed."""
        ...


class ParentProxy(Protocol):
    """A proxy at the other end of a connection that takes requests for a server."""

    @property
    def name(self) -> str:
        """URL of the proxy without the password."""
        ...

    def secrets(self) -> Secrets:
        """Return what the proxy could repeat of its credentials."""
        ...

    def absolute(self, destination: Destination, target: str) -> tuple[str, Fields]:
        """Return a target in absolute-form, and the fields that are for the proxy."""
        ...

    def explain(self, answer: ResponseHead) -> str:
        """Describe in one line why the proxy refused, and what to do about it."""
        ...


class HTTP1Client(HTTP1Connection):
    """A connection that serves one exchange at a time, and waits in its pool in between."""

    def __init__(
        self,
        pool: Pool,
        destination: Destination,
        address: str,
        proxy: ParentProxy | None = None,
    ) -> None:
        """`proxy`: the other end, if it isn't the destination itself."""
        super().__init__()
        self._pool = pool
        self.destination = destination
        self.address = address
        self._proxy = proxy
        self._secrets = None if proxy is None else proxy.secrets()
        self._exchange: ResponseReceiver | None = None
        self._method = ""
        self._body: BodyReader | None = None
        """The reader of the response's body; `None` while a head is awaited."""
        self._partial_head = b""
        self._informational = 0
        self._reusable = True
        self._switched = False
        """The connection carries another protocol, as bytes."""
        self._paused = False
        self.reused = False
        self.idle_since = 0.0

    # --- asyncio ---

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self._transport.abort()  # an answer to no request
            return
        try:
            self._read(exchange, data)
        except BadMessageError as exc:
            self._reusable = False
            exchange.failed(502, f"{self.destination.host} sent a malformed response: {exc}")
        exchange.response_flush()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._pool.lost(self)
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        body = self._body
        if isinstance(body, MaskingReader) and isinstance(body.inner, EndlessReader):
            exchange.response_data([body.withheld])  # it was no secret after all
            body = body.inner
        if isinstance(body, EndlessReader) and exc is None:
            exchange.response_end([])
            return
        unused = self._body is None and not self._partial_head and not self._informational
        exchange.upstream_lost(f"{self.destination.host} {ending(exc)}", unused=unused)

    def pause_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.upstream_full()

    def resume_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.upstream_drained()

    @property
    def usable(self) -> bool:
        """Another request may be sent."""
        return self._reusable and not self._transport.is_closing()

    def close(self) -> None:
        self._transport.abort()

    # --- reading ---

    def _read(self, exchange: ResponseReceiver, data: bytes | memoryview) -> None:
        while data and self._exchange is exchange:
            if self._body is None:
                data = self._read_head(exchange, self._partial_head + data)
                continue
            payload = self._body.feed(data)
            if payload:
                exchange.response_data(payload)
            if not self._body.done:
                return
            data = self._body.rest
            self._complete(exchange, self._body.trailers, data)

    def _read_head(self, exchange: ResponseReceiver, data: bytes) -> bytes:
        """Handle the head that `data` begins with, and return the rest."""
        end = parser.head_end(data)
        if end < 0:
            self._partial_head = data
            return b""
        self._partial_head = b""
        lines = self._secrets.masked(data[:end]) if self._secrets else data[:end]
        head = parser.parse_response_head(lines, self._method)
        if self._proxy is not None and head.status == 407:  # as CONNECT would be refused
            why = f"the proxy {self._proxy.name} {self._proxy.explain(head)}"
            exchange.failed(502, f"{self.destination.host}: {why}")
            return b""
        rest = data[end:]
        if head.status < 200:
            self._take_informational(exchange, head)
        else:
            self._take_final(exchange, head, rest)
        return rest

    def _take_informational(self, exchange: ResponseReceiver, head: ResponseHead) -> None:
        self._informational += 1
        if self._informational > MAX_INFORMATIONAL:
            raise BadMessageError("too many informational responses")
        exchange.response_head(head)

    def _take_final(self, exchange: ResponseReceiver, head: ResponseHead, rest: bytes) -> None:
        self._reusable = self._reusable and head.keep_alive
        if head.framing == NO_BODY:
            exchange.response_head(head)
            self._complete(exchange, [], rest)
            return
        body = body_reader(head.framing)
        self._body = MaskingReader(body, self._secrets) if self._secrets else body
        exchange.response_head(head)

    def _complete(
        self, exchange: ResponseReceiver, trailers: Fields, rest: bytes | memoryview
    ) -> None:
        self._body = None
        self._exchange = None
        if rest:  # an answer to no request
            self._reusable = False
        exchange.response_end(trailers)

    # --- Upstream ---

    def request(self, exchange: ResponseReceiver, request: RequestHead, target: str) -> None:
        self._exchange = exchange
        self._method = request.method
        self._informational = 0
        self._chunked = request.framing == CHUNKED
        extra: Fields = []
        if self._proxy is not None:
            target, extra = self._proxy.absolute(self.destination, target)
        self._out.append(writer.request_bytes(request, target, self.destination.authority, extra))

    def end(self, trailers: Fields) -> None:
        if self._switched:
            self._end_sending()
        elif self._chunked:
            self._out.append(writer.trailer_bytes(trailers))
            self._chunked = False

    def _end_sending(self) -> None:
        self.write_out()
        if not self._transport.can_write_eof():  # TLS can't be half closed
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write_eof()

    def pause(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def switch(self) -> None:
        self._chunked = False
        self._reusable = False
        self._switched = True
        self._body = EndlessReader()

    def release(self) -> None:
        self.resume()
        self._pool.released(self)

    def abort(self, *, at_once: bool) -> None:
        self._exchange = None
        self._reusable = False
        if isinstance(self._body, EndlessReader) and not at_once:
            self.finish()  # what is waiting is still sent
        else:
            self._transport.abort()
