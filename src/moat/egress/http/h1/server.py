"""The side that asked, in HTTP/1.x: a client's connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.http.bad_request import request_line
from moat.egress.http.exchange import Exchange
from moat.egress.http.h1 import parser, writer
from moat.egress.http.h1.bodies import BodyReader, EndlessReader, body_reader
from moat.egress.http.h1.connection import HTTP1Connection
from moat.egress.http.h1.hangup import HangupWatch
from moat.egress.http.interfaces import INCOMPLETE, KEEP_ALIVE, UNUSED
from moat.egress.http.messages import CHUNKED, NO_BODY, UNTIL_CLOSE, BadMessageError, ResponseHead
from moat.egress.streams import break_off

if TYPE_CHECKING:
    import asyncio

    from moat.egress.http.interfaces import ServerGateway
    from moat.egress.http.messages import RequestHead
    from moat.egress.http.origin_check import TargetCheck
    from moat.egress.traffic.entry import Fields
    from moat.spec.network import Timeouts


class HTTP1Server(HTTP1Connection):
    """A connection from the sandbox that serves one request after the other, in their order.

    Pipelined requests wait in the kernel until their turn.
    """

    protocol = "HTTP/1.1"

    def __init__(self, gateway: ServerGateway, origin: TargetCheck) -> None:
        super().__init__()
        self._gateway = gateway
        self._origin = origin
        self._exchange: Exchange | None = None
        self._body: BodyReader | None = None
        """The reader of the request's body; `None` when that is complete."""
        self._pending = b""
        """Data that was read, but not handled: an incomplete head, or what follows the request."""
        self._scanned = 0
        """Bytes of an incomplete head that are known not to contain its end."""
        self._closing = False
        """The connection ends after the present response."""
        self._ends_by_close = False
        """The end of the connection tells the client that the present response has ended."""
        self._input_ended = False
        """The client has closed its side."""
        self._body_paused = False
        """The exchange takes no more of the body for now."""
        self._reading_paused = False
        self._pipelined = False
        """`_pending` begins with a request whose turn has not come, or with another protocol."""
        self._output_full = False
        """The client does not read its responses; until it does, no further request is read."""
        self._plain = True
        """The connection has no TLS."""
        self._hangup: HangupWatch | None = None
        self._requested = False
        """A request has come, well-formed or not."""
        self.waiting_since: float = gateway.clock()
        """Time at which the connection began to wait for a request, or for the rest of a head."""
        self.moved = self.waiting_since
        """Time at which a byte last passed, in either direction."""

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._plain = transport.get_extra_info("sslcontext") is None
        self._gateway.opened(self)

    def data_received(self, data: bytes) -> None:
        self.moved = self._gateway.clock()
        if self._pending:
            data = self._pending + data
            self._pending = b""
            self._pipelined = False
        try:
            self._read(data)
        except BadMessageError as exc:
            self._refuse(exc)

    def eof_received(self) -> bool:
        """Keep the connection for a client that has closed only its side and waits for a response.

        TLS can't be half closed.
        """
        self._closing = self._input_ended = True
        self.write_out()
        if not self._plain or self._exchange is None:
            return False
        if self._switched:
            self._exchange.request_end([])
            return True
        return self._body is None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unwatch()
        self._gateway.closed(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.downstream_lost()
        elif self._pending:
            self._abandon(INCOMPLETE)
        elif not self._requested:
            self._abandon(UNUSED)

    def _abandon(self, why: str) -> None:
        self._gateway.abandoned(self._origin.destination, self._origin.described(why))

    def pause_writing(self) -> None:
        self._output_full = True
        if self._exchange is not None:
            self._exchange.downstream_full()

    def resume_writing(self) -> None:
        self._output_full = False
        if self._exchange is not None:
            self._exchange.downstream_drained()
        else:
            self._continue()

    @property
    def _switched(self) -> bool:
        return isinstance(self._body, EndlessReader)  # the body of a request always has an end

    # --- Connection ---

    @property
    def idle(self) -> bool:
        return self._exchange is None and self._body is None and not (self._pending or self._out)

    def check(self, now: float, timeouts: Timeouts) -> None:
        if self._exchange is not None:
            self._check_exchange(self._exchange, now, timeouts.idle)
        elif self._pending and self._body is None:
            if now - self.waiting_since > timeouts.header:
                problem = BadMessageError("the head was not completed in time", 408)
                problem.line = request_line(self._pending)
                self._refuse(problem)
        elif now - max(self.waiting_since, self.moved) > KEEP_ALIVE:
            self.close()

    def _check_exchange(self, exchange: Exchange, now: float, limit: float) -> None:
        if exchange.asking:
            self.moved = now  # the user's time is not the client's
        elif now - self.moved > limit:
            self._closing = True
            exchange.failed(504, f"no byte has passed for {limit:g} s")
            self.finish()  # whatever is still to come of the request

    def reconsider(self) -> None:
        if self._exchange is not None:
            self._exchange.reconsider()

    def close(self) -> None:
        self._transport.abort()

    # --- reading ---

    def _read(self, data: bytes | memoryview) -> None:
        """Handle at most one request, so that other connections have their turn before the next."""
        begun = False
        while data:
            if self._body is not None:
                data = self._read_body(self._body, data)
            elif begun or self._exchange is not None or self._output_full:
                self._pending = bytes(data)
                self._pipelined = True
                self._pause_reading()
                self._continue()
                return
            else:
                head = bytes(data)
                try:
                    rest = self._read_head(head)
                except BadMessageError as exc:
                    exc.line = request_line(head)
                    raise
                if rest is None:
                    return
                data = rest
                begun = True

    def _read_head(self, data: bytes) -> bytes | None:
        """Begin the request that `data` starts with and return the rest; `None` if it is incomplete."""
        if data.startswith(b"\r\n"):  # RFC 9112 2.2: left over by careless clients
            data = data[2:]
        end = parser.head_end(data, self._scanned)
        if end < 0:
            if not self._scanned:
                self.waiting_since = self.moved
            self._pending = data
            self._scanned = len(data)
            return None
        self._scanned = 0
        self._requested = True
        self._begin(parser.parse_request_head(data[:end]))
        return data[end:]

    def _begin(self, request: RequestHead) -> None:
        self._closing = not request.keep_alive
        if request.framing != NO_BODY:
            self._body = body_reader(request.framing)
        checked = self._origin.check(request)
        exchange = Exchange(self._gateway, self, request, checked.destination, checked.target)
        self._exchange = exchange
        if checked.refusal is None:
            exchange.begin()
        else:
            exchange.deny(checked.refusal, checked.status)

    def _read_body(self, body: BodyReader, data: bytes | memoryview) -> bytes | memoryview:
        """Pass on the part of the body that `data` holds, and return the rest."""
        payload = body.feed(data)
        if self._exchange is not None and payload:
            self._exchange.request_data(payload)
        exchange = self._exchange  # unless this data was too much for it
        if not body.done:
            if exchange is not None:
                exchange.request_flush()
            return b""
        self._body = None
        if exchange is None:  # the response came before the end of the body
            self._request_done()
        else:
            exchange.request_end(body.trailers)
            exchange.request_flush()
        return body.rest

    # --- Downstream ---

    def respond(self, head: ResponseHead) -> None:
        if head.status < 200:
            self._out.append(writer.response_bytes(head, NO_BODY, close=False))
            return
        exchange = self._exchange
        framing = head.framing
        if framing in (UNTIL_CLOSE, CHUNKED):
            if exchange is not None and exchange.request.minor:
                framing = CHUNKED
            else:
                framing = UNTIL_CLOSE
                self._closing = self._ends_by_close = True
        self._chunked = framing == CHUNKED
        self._out.append(writer.response_bytes(head, framing, close=self._closing))

    def end(self, trailers: Fields) -> None:
        if self._chunked:
            self._out.append(writer.trailer_bytes(trailers))
        self.flush()
        self._exchange = None
        self._chunked = False
        if self._body is None or self._switched:
            self._body = None
            self._request_done()
        else:
            self.resume()  # to discard the rest of the body, which the client may insist on sending

    def write_out(self) -> None:
        self.moved = self._gateway.clock()
        super().write_out()

    def abort(self) -> None:
        """Close the connection without the last chunk, or before as many bytes as were announced."""
        self._exchange = None
        if self._ends_by_close:
            self.write_out()
            break_off(self._transport)
        else:
            self.finish()

    def pause(self) -> None:
        self._body_paused = True
        self._pause_reading()

    def hold(self) -> None:
        self.pause()
        if self._hangup is None and not self._transport.is_closing():
            self._hangup = HangupWatch(self._loop, self._transport, self._hung_up)

    def _hung_up(self) -> None:
        """Give up the exchange of a client that has closed its connection, or half of it.

        The two look alike. As in nginx and Go's server, both mean that the client has given up: else
        the user would be asked on behalf of nobody. A client that still listens gets an answer.
        """
        self._unwatch()
        self._closing = True
        if self._exchange is not None:
            self._exchange.failed(400, "the client stopped sending before it got its response")

    def _unwatch(self) -> None:
        hangup, self._hangup = self._hangup, None
        if hangup is not None:
            hangup.close()

    def resume(self) -> None:
        self._unwatch()
        self._body_paused = False
        self._resume_reading()

    def switch(self) -> None:
        self._chunked = False
        self._closing = self._ends_by_close = True
        self._body = EndlessReader()
        if self._pipelined:
            self._loop.call_soon(self._read_pipelined)
        elif self._input_ended and self._exchange is not None:
            self._exchange.request_end([])
        self._resume_reading()

    # --- from one request to the next ---

    def _request_done(self) -> None:
        """Go on to the next request: this one and its response are complete."""
        if self._closing:
            self._pending = b""  # sent behind a request that announced the end (RFC 9112 9.6)
            self.finish()
            return
        self.waiting_since = self.moved
        self._body_paused = False
        self._continue()

    def _continue(self) -> None:
        """Read on, unless something has to come first."""
        if not self._pipelined:
            self._resume_reading()
        elif self._exchange is None and not self._output_full:
            # Not from here: the exchange that has just ended is still on the stack.
            self._loop.call_soon(self._read_pipelined)

    def _read_pipelined(self) -> None:
        its_turn = self._exchange is None or self._switched
        if self._pipelined and its_turn and not self._transport.is_closing():
            self.data_received(b"")
            self._resume_reading()

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._body_paused and not self._pipelined:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _refuse(self, problem: BadMessageError) -> None:
        """Answer a malformed request or body, and read nothing after it."""
        self._body = None
        self._pending = b""
        self._closing = self._requested = True
        exchange = self._exchange
        if exchange is None:
            line = f"moat: malformed request: {problem}"
            fields = [(b"Content-Type", b"text/plain")]
            self._out.append(writer.last_answer(problem.status, line, fields))
            self.finish()
        else:
            exchange.failed(problem.status, f"malformed request: {problem}")
        self._gateway.malformed(self._origin.destination, problem)
