"""One request and its response, between the side that asked and the side that answers.

Pure: no sockets, no clock, no loop. A version of HTTP on either side is a shell around this; it calls
the methods of `Exchange` for what arrived and implements `Downstream` or `Upstream` for what is to be
sent. In between lies the only path from the sandbox to the world: decided, recorded, then sent.

    downstream ── request_data, request_end ──▶ Exchange ── send, end ──▶ upstream
    downstream ◀── respond, send, end ── Exchange ◀── response_head, _data, _end ── upstream

Both sides queue what they are told to send; `flush` sends it, once for all that one read brought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.egress.http.fields import accepts_upgrade
from moat.egress.http.messages import NO_BODY, UNTIL_CLOSE, ResponseHead
from moat.egress.http.method_override import other_readings
from moat.egress.policy.engine import Decision, Verdict, denial_header
from moat.egress.traffic.entry import Entry

if TYPE_CHECKING:
    from moat.egress.http.interfaces import (
        Destination,
        Downstream,
        Gateway,
        Question,
        Timing,
        Upstream,
    )
    from moat.egress.http.messages import Payload, RequestHead
    from moat.egress.traffic.entry import Fields


_IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))


class Exchange:
    __slots__ = (
        "_begun",
        "_early",
        "_expected",
        "_gateway",
        "_observer",
        "_over",
        "_promised",
        "_question",
        "_request_done",
        "_retried",
        "_trailers",
        "_upstream",
        "answered",
        "destination",
        "downstream",
        "entry",
        "request",
        "target",
    )

    def __init__(
        self,
        gateway: Gateway,
        downstream: Downstream,
        request: RequestHead,
        destination: Destination,
        target: str,
    ) -> None:
        self._gateway = gateway
        self.downstream = downstream
        self.request = request
        self.destination = destination
        self.target = target
        """In origin-form, or `*`."""
        self._upstream: Upstream | None = None
        self._request_done = request.framing == NO_BODY
        self._promised = request.framing
        """The length of the request's body, where it was said before; else negative."""
        self._expected = UNTIL_CLOSE
        """That of the response's."""
        self._early: Payload = []
        """What came of the body while there was no connection yet ..."""
        self._trailers: Fields = []
        """... and behind it."""
        self._question: Question | None = None
        """While the user is asked."""
        self._begun = gateway.clock()
        self._retried = False
        self.answered = False
        """The final head has been sent."""
        self._over = False
        entry = self.entry = Entry("request", gateway.now())
        entry.method = request.method
        entry.scheme, entry.host, entry.port = destination.key
        entry.path = target
        entry.protocol = downstream.protocol
        self._observer = gateway.observer(self)

    def begin(self) -> None:
        """Decides, and goes on from there."""
        problem = self._gateway.problem()
        if problem:
            self.failed(503, problem)
            return
        method, target, decision = self._decision()
        if decision.verdict is Verdict.ASK:
            self.entry.rule = decision.rule
            self.entry.verdict = "asking"
            self._gateway.put(self.entry)
            self.downstream.hold()
            self._question = self._gateway.ask(self, method, target)
        else:
            self._decided(decision)

    @property
    def asking(self) -> bool:
        """The user is asked."""
        return self._question is not None

    def answered_by_user(self, decision: Decision) -> None:
        """What else a server may take the request for may be a question of its own."""
        if decision.verdict is Verdict.ALLOW and not self._over:
            self.begin()
        else:
            self._decided(decision)

    def reconsider(self) -> None:
        """The policy has changed: what it denies now is broken off, however far it has come."""
        if self._over or self.asking:  # whoever asks hears of the change
            return
        _, _, decision = self._decision()
        if decision.verdict is Verdict.DENY:
            self.deny(decision)

    def _decided(self, decision: Decision) -> None:
        asked = self._question is not None
        self._question = None
        if self._over:
            return
        self.entry.rule = decision.rule
        if decision.verdict is not Verdict.ALLOW:
            self.deny(decision)
            return
        self.entry.verdict = "allowed"
        self._gateway.put(self.entry)
        if not self._request_done:
            self.downstream.pause()
        elif asked:
            self.downstream.resume()
        self._gateway.connect(self, fresh=False)

    def _decision(self) -> tuple[str, str, Decision]:
        """And the method and target that it is about: the server may take the request for another one.

        All that it may be taken for must be allowed; what is denied comes before what is asked.
        """
        _, host, port = self.destination.key
        method, target = self.request.method, self.target
        found = method, target, self._gateway.decide(method, host, port, target)
        for method, target in other_readings(self.request, self.target):
            other = self._gateway.decide(method, host, port, target)
            if other.strictness > found[2].strictness:
                found = method, target, other
        return found

    def connected(self, upstream: Upstream, timing: Timing | None) -> None:
        """`timing` is `None` where the connection was there already."""
        if self._over:
            upstream.release()
            return
        entry = self.entry
        entry.address = upstream.address
        if timing is not None:
            entry.dns, entry.connect, entry.tls = timing.dns, timing.connect, timing.tls
        self._upstream = upstream
        upstream.request(self, self.request, self.target)
        if self._early:
            early, self._early = self._early, []
            upstream.send(early)
        if self.request.framing != NO_BODY:
            if self._request_done:
                upstream.end(self._trailers)
            self.downstream.resume()
        upstream.flush()

    # --- what the side that asked sends ---

    def request_data(self, payload: Payload) -> None:
        if self._over:
            return  # answered before it was all sent: the rest goes nowhere
        for piece in payload:
            self.entry.sent += len(piece)
        if 0 <= self._promised < self.entry.sent:
            self._broke_promise()
            return
        if self._observer is not None:
            self._observer.request(payload)
        if self._upstream is None:
            self._early += payload
        else:
            self._upstream.send(payload)

    def request_end(self, trailers: Fields) -> None:
        if not self._over and 0 <= self._promised != self.entry.sent:
            self._broke_promise()
            return
        self._request_done = True
        if self._upstream is None:
            self._trailers = trailers
        elif not self._over:
            self._upstream.end(trailers)

    def _broke_promise(self) -> None:
        # HTTP/2 alone can say two different things. A server of HTTP/1.1 would take the next request
        # for this body's rest, or this body's rest for a request that nobody has decided about.
        self.failed(400, "the body is not as long as its Content-Length")

    def request_flush(self) -> None:
        if self._upstream is not None:
            self._upstream.flush()

    def downstream_lost(self) -> None:
        """It has gone: there is nobody to answer."""
        if self._over:
            return
        if self.entry.protocol == "websocket":
            self._finish()
        else:
            self._finish("failed", "the client closed the connection")
        self._let_go()

    def downstream_full(self) -> None:
        if self._upstream is not None:
            self._upstream.pause()

    def downstream_drained(self) -> None:
        if self._upstream is not None:
            self._upstream.resume()

    # --- what the side that answers sends ---

    def response_head(self, head: ResponseHead) -> None:
        """A final head, or an informational one."""
        entry = self.entry
        if head.status < 200:
            if head.status == 101:
                self._switch(head)
            elif self.request.minor:
                self.downstream.respond(head)
            return
        entry.first_byte = self._gateway.clock() - self._begun
        entry.status = head.status
        self._expected = head.framing
        if self._observer is not None:
            self._observer.response_head(head)
        self.answered = True
        self.downstream.respond(head)

    def response_data(self, payload: Payload) -> None:
        for piece in payload:
            self.entry.received += len(piece)
        if 0 <= self._expected < self.entry.received:
            self._misframed()
            return
        if self._observer is not None:
            self._observer.response(payload)
        self.downstream.send(payload)

    def response_end(self, trailers: Fields) -> None:
        upstream = self._upstream
        if 0 <= self._expected != self.entry.received:
            self._misframed()
            return
        self._upstream = None
        self._finish()
        if upstream is not None:
            if self._request_done:
                upstream.release()
            else:
                upstream.abort(at_once=False)
        self.downstream.end(trailers)

    def _misframed(self) -> None:
        self.failed(502, "the response's body is not as long as its head says")

    def response_flush(self) -> None:
        self.downstream.flush()

    def upstream_lost(self, why: str, *, unused: bool) -> None:
        """`unused`: it was closed before a byte of the response had come."""
        upstream = self._upstream
        self._upstream = None
        if self._over or upstream is None:
            return
        if self.entry.protocol == "websocket":
            self._finish()
            self.downstream.end([])
            self.downstream.flush()
        elif unused and upstream.reused and self._may_repeat():
            self._retried = True
            self._gateway.connect(self, fresh=True)
        else:
            self.failed(502, why)

    def upstream_full(self) -> None:
        self.downstream.pause()

    def upstream_drained(self) -> None:
        self.downstream.resume()

    # --- answers of our own ---

    def deny(self, decision: Decision, status: int = 403) -> None:
        """Answers with what is denied, by which rule, and what to change; or ends what is answered."""
        if self._over:
            return
        self.entry.rule = decision.rule
        self._finish("denied", decision.why, status)
        self._let_go(at_once=True)
        if self.answered:
            self.downstream.abort()
        else:
            self._answer(status, decision.reason, [(b"X-Moat-Denied", denial_header(decision))])

    def failed(self, status: int, why: str) -> None:
        """It could not be carried out, which is nobody's decision."""
        if self._over:
            return
        self._finish("failed", why, status)
        self._let_go()
        if self.answered:
            self.downstream.abort()
        else:
            self._answer(status, f"moat: {why}", [])

    def _answer(self, status: int, line: str, fields: Fields) -> None:
        body = f"{line}\n".encode()
        head = ResponseHead(
            status, [(b"Content-Type", b"text/plain; charset=utf-8"), *fields], len(body)
        )
        head.ends = self.request.method == "HEAD"
        self.answered = True
        self.downstream.resume()
        self.downstream.respond(head)
        if not head.ends:
            self.downstream.send([body])
        self.downstream.end([])
        self.downstream.flush()

    # --- ---

    def _switch(self, head: ResponseHead) -> None:
        """RFC 9110 7.8: what follows is another protocol, to the same destination."""
        offered, chosen = self.request.upgrade, head.upgrade
        agreed = offered is not None and chosen is not None and accepts_upgrade(offered, chosen)
        if self._upstream is None or not agreed:
            self.failed(502, "the server changed to a protocol that nobody asked for")
            return
        self.entry.status = 101
        self.entry.protocol = "websocket"
        self.entry.first_byte = self._gateway.clock() - self._begun
        self._gateway.put(self.entry)
        self._request_done = False
        self._promised = UNTIL_CLOSE
        self.answered = True
        self.downstream.respond(head)
        self._upstream.switch()
        self.downstream.switch()  # which may have something for it already

    def _may_repeat(self) -> bool:
        """RFC 9110 9.2.2: nothing has happened yet, or doing it twice does no harm."""
        return (
            not self._retried
            and not self.answered
            and self.request.method in _IDEMPOTENT
            and self.request.framing == NO_BODY
        )

    def _finish(self, verdict: str = "allowed", why: str = "", status: int = 0) -> None:
        self._over = True
        if self._question is not None:
            self._question.withdraw()
        entry = self.entry
        entry.total = self._gateway.clock() - self._begun
        if verdict != "allowed":
            entry.verdict = "denied" if verdict == "denied" else "failed"
            entry.error = why
            entry.status = entry.status or status
        if self._observer is not None:
            self._observer.finish()
        self._gateway.put(entry)

    def _let_go(self, *, at_once: bool = False) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort(at_once=at_once)
