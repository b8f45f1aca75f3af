"""The side that asked, in HTTP/1.x: a connection from the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.http.bad_request import request_line
from moat.egress.http.exchange import Exchange
from moat.egress.http.h1 import parser, writer
from moat.egress.http.h1.bodies import BodyReader, EndlessReader, body_reader
from moat.egress.http.h1.connection import HTTP1Connection
from moat.egress.http.h1.hangup import Departure
from moat.egress.http.interfaces import KEEP_ALIVE
from moat.egress.http.messages import CHUNKED, NO_BODY, UNTIL_CLOSE, BadMessageError, ResponseHead
from moat.egress.http.origin_check import LEFT, LEFT_HALFWAY
from moat.egress.streams import break_off

if TYPE_CHECKING:
    import asyncio

    from moat.egress.http.interfaces import Gateway
    from moat.egress.http.origin_check import Arrival
    from moat.egress.traffic.entry import Fields
    from moat.spec.network import Timeouts


class HTTP1Server(HTTP1Connection):
    """One request after the other, in order; what a client sends ahead waits in the kernel."""

    protocol = "HTTP/1.1"

    def __init__(self, gateway: Gateway, arrival: Arrival) -> None:
        super().__init__()
        self._gateway = gateway
        self._arrival = arrival
        self._exchange: Exchange | None = None
        self._body: BodyReader | None = None
        """Of the request; `None` when it is complete."""
        self._rest = b""
        """An unfinished head, or what came after the present request."""
        self._seen = 0
        """How much of an unfinished head is known not to hold its end."""
        self._closes = False
        """After the present response."""
        self._endless = False
        """The client takes the end of the connection for the end of the present response."""
        self._finished = False
        """The client sends no more."""
        self._stopped = False
        """The exchange wants no more of the body for now."""
        self._paused = False
        self._ahead = False
        """`_rest` begins with a request whose turn has not come, or with another protocol."""
        self._full = False
        """The client does not read its answers: until it does, no request of its own is read."""
        self._plain = True
        self._departure: Departure | None = None
        """While the exchange is held."""
        self._asked = False
        """There has been a request, or what was taken for one."""
        self.waits_since: float = gateway.clock()
        """When it began to wait for a request, or for the rest of a head."""
        self.moved = self.waits_since
        """When a byte last passed, in either direction."""

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._plain = transport.get_extra_info("sslcontext") is None
        self._arrival.opened(self)

    def data_received(self, data: bytes) -> None:
        self.moved = self._gateway.clock()
        if self._rest:
            data = self._rest + data
            self._rest = b""
            self._ahead = False
        try:
            self._read(data)
        except BadMessageError as exc:
            self._refuse(exc)

    def eof_received(self) -> bool:
        """A client that has only stopped sending still gets its answer; TLS can't be half closed."""
        self._closes = self._finished = True
        self.write_out()
        if not self._plain or self._exchange is None:
            return False
        if self._switched:
            self._exchange.request_end([])
            return True
        return self._body is None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_hold()
        self._arrival.closed(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.downstream_lost()
        elif self._rest:
            self._arrival.left(LEFT_HALFWAY)
        elif not self._asked:
            self._arrival.left(LEFT)

    def pause_writing(self) -> None:
        self._full = True
        if self._exchange is not None:
            self._exchange.downstream_full()

    def resume_writing(self) -> None:
        self._full = False
        if self._exchange is not None:
            self._exchange.downstream_drained()
        else:
            self._take_turn()

    @property
    def _switched(self) -> bool:
        return isinstance(self._body, EndlessReader)  # no request has such a body

    @property
    def idle(self) -> bool:
        """It waits for a request, and nothing waits in it."""
        return self._exchange is None and self._body is None and not (self._rest or self._out)

    def check(self, now: float, timeouts: Timeouts) -> None:
        """Ends what has taken too long."""
        if self._exchange is not None:
            if self._exchange.asking:
                self.moved = now  # the user's time is not the client's
            elif now - self.moved > timeouts.idle:
                self._closes = True
                self._exchange.failed(504, f"no byte has passed for {timeouts.idle:g} s")
                self.finish()  # whatever of the request is still to come
        elif self._rest and self._body is None:
            if now - self.waits_since > timeouts.header:
                problem = BadMessageError("the head did not come to an end", 408)
                problem.line = request_line(self._rest)
                self._refuse(problem)
        elif now - max(self.waits_since, self.moved) > KEEP_ALIVE:
            self.close()

    def reconsider(self) -> None:
        if self._exchange is not None:
            self._exchange.reconsider()

    def close(self) -> None:
        self._transport.abort()

    # --- reading ---

    def _read(self, data: bytes | memoryview) -> None:
        """One request, at most: what follows it has its turn after other connections."""
        begun = False
        while data:
            if self._body is not None:
                data = self._read_body(self._body, data)
            elif begun or self._exchange is not None or self._full:
                self._rest = bytes(data)
                self._ahead = True
                self._hold()
                self._take_turn()
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
        if data.startswith(b"\r\n"):  # RFC 9112 2.2: left over by careless clients
            data = data[2:]
        end = parser.head_end(data, self._seen)
        if end < 0:
            if not self._seen:
                self.waits_since = self.moved
            self._rest = data
            self._seen = len(data)
            return None
        self._seen = 0
        self._asked = True
        request = parser.parse_request_head(data[:end])
        rest = data[end:]
        self._closes = not request.keep_alive
        if request.framing != NO_BODY:
            self._body = body_reader(request.framing)
        found = self._arrival.destination_of(request)
        exchange = Exchange(self._gateway, self, request, found.destination, found.target)
        self._exchange = exchange
        if found.refusal is None:
            exchange.begin()
        else:
            exchange.deny(found.refusal, found.status)
        return rest

    def _read_body(self, body: BodyReader, data: bytes | memoryview) -> bytes | memoryview:
        payload = body.feed(data)
        exchange = self._exchange
        if exchange is not None and payload:
            exchange.request_data(payload)
        if not body.done:
            if exchange is not None:
                exchange.request_flush()
            return b""
        self._body = None
        if exchange is None:  # it was answered before it had all come
            self._next()
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
                self._closes = self._endless = True
        self._chunked = framing == CHUNKED
        self._out.append(writer.response_bytes(head, framing, close=self._closes))

    def end(self, trailers: Fields) -> None:
        if self._chunked:
            self._out.append(writer.trailer_bytes(trailers))
        self.flush()
        self._exchange = None
        self._chunked = False
        if self._body is None or self._switched:
            self._body = None
            self._next()
        else:
            self.resume()  # the rest of the body goes nowhere, but the client may insist on sending

    def write_out(self) -> None:
        self.moved = self._gateway.clock()
        super().write_out()

    def abort(self) -> None:
        """Without the end of the body: a chunked one lacks its last chunk, a sized one its bytes."""
        self._exchange = None
        if self._endless:
            self.write_out()
            break_off(self._transport)
        else:
            self.finish()

    def pause(self) -> None:
        self._stopped = True
        self._hold()

    def hold(self) -> None:
        self.pause()
        if self._departure is None and not self._transport.is_closing():
            self._departure = Departure(self._loop, self._transport, self._left)

    def _left(self) -> None:
        """It has closed the connection, or half of it: the two look alike.

        As to nginx and to Go's server, both are a client that gave up: else the user would be asked for
        nobody. Who does still listen is told so.
        """
        self._end_hold()
        self._closes = True
        if self._exchange is not None:
            self._exchange.failed(400, "the client stopped sending before it had its answer")

    def _end_hold(self) -> None:
        departure, self._departure = self._departure, None
        if departure is not None:
            departure.close()

    def resume(self) -> None:
        self._end_hold()
        self._stopped = False
        self._go_on()

    def switch(self) -> None:
        self._chunked = False
        self._closes = self._endless = True
        self._body = EndlessReader()
        if self._ahead:
            self._loop.call_soon(self._read_ahead)
        elif self._finished and self._exchange is not None:
            self._exchange.request_end([])
        self._go_on()

    # --- ---

    def _next(self) -> None:
        """The present request and its response are complete."""
        if self._closes:
            self._rest = b""  # sent behind a request that said it is the last (RFC 9112 9.6)
            self.finish()
            return
        self.waits_since = self.moved
        self._stopped = False
        self._take_turn()

    def _take_turn(self) -> None:
        """Reads on, if there is nothing to wait for."""
        if not self._ahead:
            self._go_on()
        elif self._exchange is None and not self._full:
            # Not from here: the exchange that has just ended is still on the stack.
            self._loop.call_soon(self._read_ahead)

    def _read_ahead(self) -> None:
        its_turn = self._exchange is None or self._switched
        if self._ahead and its_turn and not self._transport.is_closing():
            self.data_received(b"")
            self._go_on()

    def _hold(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self._paused and not self._stopped and not self._ahead:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _refuse(self, problem: BadMessageError) -> None:
        """What can't be understood is answered and nothing after it is read."""
        self._body = None
        self._rest = b""
        self._closes = self._asked = True
        exchange = self._exchange
        if exchange is None:
            self._out.append(_refusal(problem))
            self.finish()
        else:
            exchange.failed(problem.status, f"malformed request: {problem}")
        self._arrival.malformed(problem)


def _refusal(problem: BadMessageError) -> bytes:
    line = f"moat: malformed request: {problem}"
    return writer.last_answer(problem.status, line, [(b"Content-Type", b"text/plain")])
