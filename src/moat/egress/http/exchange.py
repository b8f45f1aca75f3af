"""The state of one request and its response, between the side that asked and the side that answers.

Pure: no sockets, no clock, no loop. Each version of HTTP is a shell around it on either side: the shell
calls the methods of `Exchange` for what it receives, and implements `Downstream` or `Upstream` for what
it is to send. An exchange is the only path from the sandbox to the world: decided, recorded, authorized,
then sent.

    downstream ── request_data, request_end ──▶ Exchange ── send, end ──▶ upstream
    downstream ◀── respond, send, end ── Exchange ◀── response_head, _data, _end ── upstream

Both sides queue what they send until `flush`, which comes once for everything that one read brought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.http.fields import accepts_upgrade, size_of
from moat.egress.http.messages import NO_BODY, UNTIL_CLOSE, BadMessageError
from moat.egress.http.method_override import strictest_decision
from moat.egress.http.override_fields import without_overrides
from moat.egress.http.own_responses import denial, failure
from moat.egress.http.request_body import RequestBody
from moat.egress.policy.decision import Decision, Verdict
from moat.egress.traffic.entry import TrafficEntry

if TYPE_CHECKING:
    from moat.egress.http.interfaces import (
        Destination,
        Downstream,
        Gateway,
        Question,
        ResponseReceiver,
        Timing,
        Upstream,
    )
    from moat.egress.http.messages import Payload, RequestHead, ResponseHead
    from moat.egress.traffic.entry import Fields
    from moat.egress.traffic.entry import Verdict as Result


class Exchange:
    __slots__ = (
        *("_gateway", "_observer", "_outgoing", "_outgoing_target", "_over", "_question"),
        *("_receiver", "_responded", "_response_length", "_retried", "_started", "_upstream"),
        *("body", "destination", "downstream", "entry", "request", "target"),
    )

    def __init__(
        self,
        gateway: Gateway,
        downstream: Downstream,
        request: RequestHead,
        destination: Destination,
        target: str,
    ) -> None:
        """`target`: in origin-form, or `*`."""
        self._gateway = gateway
        self.downstream = downstream
        self.request = request
        """The client's own."""
        self._outgoing = request
        """The one that goes upstream, with the run's credentials."""
        self._outgoing_target = target
        self.destination = destination
        self.target = target
        self._upstream: Upstream | None = None
        self._receiver: ResponseReceiver = self
        """The one to whom the server's response goes first."""
        self.body = RequestBody(request.framing)
        self._response_length = UNTIL_CLOSE
        """Bytes of the response's body, if known beforehand; else negative."""
        self._question: Question | None = None
        """The question that the user has not answered yet."""
        self._started = gateway.clock()
        self._retried = False
        self._responded = False
        """The final head has been sent to the client."""
        self._over = False
        entry = self.entry = TrafficEntry("request", gateway.now())
        entry.method = request.method
        entry.scheme, entry.host, entry.port = destination.key
        entry.path = target
        entry.protocol = downstream.protocol
        self._observer = gateway.observer(self)

    # --- before the request is sent ---

    def begin(self) -> None:
        """Decide about the request, and take the next step."""
        problem = self._gateway.problem()
        if problem:
            self.failed(503, problem)
            return
        decision, method, target = self._decide()
        if decision.verdict is Verdict.ASK:
            self._hold(decision)
            self._question = self._gateway.ask(self, method, target)
        else:
            self._decided(decision)

    def _hold(self, decision: Decision) -> None:
        """Let the client wait for the answer to a question, which comes next."""
        self.entry.rule, self.entry.verdict = decision.rule, "asking"
        self._gateway.put(self.entry)
        self.downstream.hold()

    @property
    def asking(self) -> bool:
        """The request waits for the user's answer."""
        return self._question is not None

    def answered_by_user(self, decision: Decision) -> None:
        if decision.verdict is Verdict.ALLOW and not self._over:
            self.begin()  # another reading of the request may be a question of its own
        else:
            self._decided(decision)

    def reconsider(self) -> None:
        """Break off a request that the policy denies now, or whose credential is gone, at any point."""
        if self._over or self.asking:  # a question is decided again by whoever asks it
            return
        decision, _, _ = self._decide()
        revoked = self._gateway.revoked(self.entry.credential) if self.entry.credential else None
        if decision.verdict is Verdict.DENY or revoked is not None:
            self.deny(revoked or decision)

    def _decide(self) -> tuple[Decision, str, str]:
        """Return the strictest decision, and the method and the target that it is about."""
        _, host, port = self.destination.key
        return strictest_decision(self._gateway, self.request, host, port, self.target)

    def _decided(self, decision: Decision) -> None:
        asked, self._question = self._question is not None, None
        if self._over:
            return
        if decision.verdict is Verdict.ALLOW:
            decision = self._gateway.charge(self) or decision
        self.entry.rule = decision.rule
        if decision.verdict is Verdict.ASK:
            self._hold(decision)
            self._question = self._gateway.ask_for_more(self, decision)
            return
        if decision.verdict is Verdict.DENY:
            self.deny(decision, decision.status)
            return
        self.entry.verdict = "allowed"
        self._gateway.put(self.entry)
        if not self.body.done:
            self.downstream.pause()
        elif asked:
            self.downstream.resume()
        self._gateway.authorize(self)

    def authorized(
        self, request: RequestHead, target: str, receiver: ResponseReceiver | None = None
    ) -> None:
        """Connect to the server, to send this request."""
        if self._over:
            return
        self._outgoing = request
        self._outgoing_target = target
        self._receiver = receiver or self
        self._gateway.connect(self, fresh=False)

    def withdraw(self) -> bool:
        if self._over or self._responded or not self.body.rewind():
            return False
        self._abort_upstream(at_once=True)
        self._may_send(self.body.size)  # once more; if not, nothing is sent again
        return True

    def connected(self, upstream: Upstream, timing: Timing | None) -> None:
        """Send the request; `timing` is `None` for a connection that existed already."""
        if self._over:
            upstream.release()
            return
        entry = self.entry
        entry.address = upstream.address
        if timing is not None:
            entry.dns, entry.connect, entry.tls = timing.dns, timing.connect, timing.tls
        self._upstream = upstream
        upstream.request(self._receiver, self._outgoing, self._outgoing_target)
        self.body.send_early(upstream)
        if self.request.framing != NO_BODY:
            if self.body.done:
                upstream.end(self.body.trailers)
            self.downstream.resume()
        upstream.flush()

    # --- from the side that asked ---

    def request_data(self, payload: Payload) -> None:
        if self._over:
            return  # the response came before the end of the body, which goes nowhere
        body = self.body
        try:
            body.count(payload)
        except BadMessageError as exc:
            self.failed(exc.status, str(exc))
            return
        finally:
            more, self.entry.sent = body.size - self.entry.sent, body.size
        if not self._may_send(more):
            return
        if self._observer is not None:
            self._observer.request(payload)
        body.pass_on(payload, self._upstream)

    def request_end(self, trailers: Fields) -> None:
        if self._over:
            self.body.done = True
            return
        try:
            self.body.end(without_overrides(trailers))
        except BadMessageError as exc:
            self.failed(exc.status, str(exc))
            return
        if trailers and not self._may_send(size_of(trailers)):
            return
        if self._upstream is not None:
            self._upstream.end(self.body.trailers)
        self.body.completed()

    def _may_send(self, size: int) -> bool:
        """Count bytes that are about to go upstream; deny the request if that is too many."""
        against = self._gateway.send(self.entry, size)
        if against is not None:
            self.deny(against)
        return against is None

    def request_flush(self) -> None:
        if self._upstream is not None:
            self._upstream.flush()

    def downstream_lost(self) -> None:
        """End the exchange: there is nobody left to answer."""
        if self._over:
            return
        if self.entry.protocol == "websocket":
            self._finish()
        else:
            self._finish("failed", "the client closed the connection")
        self._abort_upstream()

    def downstream_full(self) -> None:
        if self._upstream is not None:
            self._upstream.pause()

    def downstream_drained(self) -> None:
        if self._upstream is not None:
            self._upstream.resume()

    # --- from the side that answers ---

    def response_head(self, head: ResponseHead) -> None:
        """Pass on a final or an informational head."""
        entry = self.entry
        if head.status < 200:
            if head.status == 101:
                self._switch(head)
            elif self.request.minor:
                self.downstream.respond(head)
            return
        entry.first_byte = self._gateway.clock() - self._started
        entry.status = head.status
        self._response_length = head.framing
        if self._observer is not None:
            self._observer.response_head(head)
        self._responded = True
        self.downstream.respond(head)

    def response_data(self, payload: Payload) -> None:
        for piece in payload:
            self.entry.received += len(piece)
        if 0 <= self._response_length < self.entry.received:
            self._fail_response_length()
            return
        if self._observer is not None:
            self._observer.response(payload)
        self.downstream.send(payload)

    def response_end(self, trailers: Fields) -> None:
        if 0 <= self._response_length != self.entry.received:
            self._fail_response_length()
            return
        upstream, self._upstream = self._upstream, None
        self._finish()
        if upstream is not None:
            if self.body.done:
                upstream.release()
            else:
                upstream.abort(at_once=False)
        self.downstream.end(trailers)

    def _fail_response_length(self) -> None:
        self.failed(502, "the response's body is not as long as its head says")

    def response_flush(self) -> None:
        self.downstream.flush()

    def upstream_lost(self, why: str, *, unused: bool) -> None:
        """Retry or fail; `unused`: the connection broke before the first byte of the response."""
        upstream, self._upstream = self._upstream, None
        if self._over or upstream is None:
            return
        if self.entry.protocol == "websocket":
            self._finish()
            self.downstream.end([])
            self.downstream.flush()
        elif unused and upstream.reused and self._may_retry():
            self._retried = True
            against = self._gateway.charge(self)  # the server may have read the first one
            if against is None:
                self._gateway.connect(self, fresh=True)
            else:
                self.deny(against)
        else:
            self.failed(502, why)

    def upstream_full(self) -> None:
        self.downstream.pause()

    def upstream_drained(self) -> None:
        self.downstream.resume()

    # --- answers of the proxy's own ---

    def deny(self, decision: Decision, status: int = 403) -> None:
        """Answer with the rule that denies it and what to change; break off a response in progress."""
        if self._over:
            return
        self.entry.rule = decision.rule
        self._finish("denied", decision.why, status)
        self._abort_upstream(at_once=True)
        self._answer(*denial(decision, status))

    def failed(self, status: int, why: str) -> None:
        """Answer that the request could not be carried out, which is nobody's decision."""
        if self._over:
            return
        self._finish("failed", why, status)
        self._abort_upstream()
        self._answer(*failure(status, why))

    def _answer(self, head: ResponseHead, body: bytes) -> None:
        """Answer with a response of the proxy's own, or break off the one that has begun."""
        if self._responded:
            self.downstream.abort()
            return
        head.ends = self.request.method == "HEAD"
        self._responded = True
        self.downstream.resume()
        self.downstream.respond(head)
        if not head.ends:
            self.downstream.send([body])
        self.downstream.end([])
        self.downstream.flush()

    # --- ---

    def _switch(self, head: ResponseHead) -> None:
        """Pass on another protocol to the same destination (RFC 9110 7.8)."""
        offered, chosen = self.request.upgrade, head.upgrade
        agreed = offered is not None and chosen is not None and accepts_upgrade(offered, chosen)
        if self._upstream is None or not agreed:
            self.failed(502, "the server switched to a protocol that was not offered")
            return
        self.entry.status, self.entry.protocol = 101, "websocket"
        self.entry.first_byte = self._gateway.clock() - self._started
        self._gateway.put(self.entry)
        self.body.has_no_length()
        self._responded = True
        self.downstream.respond(head)
        self._upstream.switch()
        self.downstream.switch()  # which may have data for the server already

    def _may_retry(self) -> bool:
        """Tell whether repeating the request does no harm, once."""
        return not self._retried and not self._responded and self.request.repeatable

    def _finish(self, verdict: Result = "allowed", why: str = "", status: int = 0) -> None:
        self._over = True
        if self._question is not None:
            self._question.withdraw()
        entry = self.entry
        entry.verdict, entry.status = verdict, entry.status or status
        entry.error = why or entry.error
        if self._observer is not None:
            self._observer.finish()
        entry.total = self._gateway.clock() - self._started
        self._gateway.put(entry)

    def _abort_upstream(self, *, at_once: bool = False) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort(at_once=at_once)
