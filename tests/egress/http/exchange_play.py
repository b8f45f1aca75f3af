"""An exchange, with a client, a server and a run that note what it does to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.http.exchange import Exchange
from moat.egress.http.interfaces import Destination
from moat.egress.http.messages import NO_BODY, RequestHead, ResponseHead
from moat.egress.policy.decision import Decision, Verdict
from moat.egress.policy.engine import Policy
from moat.spec.network import Network

if TYPE_CHECKING:
    from moat.egress.http.interfaces import PendingExchange, ResponseReceiver
    from moat.egress.http.messages import Payload
    from moat.egress.traffic.entry import Fields, TrafficEntry
    from moat.egress.traffic.entry import Verdict as Result

DESTINATION = Destination("https", "a.test", 443)


class Downstream:
    """A client that notes what it is told."""

    def __init__(self, told: list[str], protocol: str = "HTTP/1.1") -> None:
        self._told = told
        self.protocol = protocol

    def respond(self, head: ResponseHead) -> None:
        self._told.append(f"client: {head.status}")

    def send(self, payload: Payload) -> None:
        self._told.append(f"client: {b''.join(payload).decode().strip()}")

    def end(self, trailers: Fields) -> None:
        self._told.append("client: end" + (" with trailers" if trailers else ""))

    def flush(self) -> None:
        """Nothing is queued here."""

    def abort(self) -> None:
        self._told.append("client: aborted")

    def pause(self) -> None:
        self._told.append("client: stop")

    def hold(self) -> None:
        self._told.append("client: wait")

    def resume(self) -> None:
        self._told.append("client: go on")

    def switch(self) -> None:
        self._told.append("client: bytes")


class Upstream:
    """A connection to a server that notes what it is told and when it is given back."""

    def __init__(self, told: list[str], *, reused: bool = False) -> None:
        self._told = told
        self.address = "192.0.2.1"
        self.reused = reused
        self.let_go = 0

    def request(self, exchange: ResponseReceiver, request: RequestHead, target: str) -> None:
        del exchange
        credential = "".join(f" with {value.decode()}" for _, value in request.fields)
        self._told.append(f"server: {request.method} {target}{credential}")

    def send(self, payload: Payload) -> None:
        self._told.append(f"server: {b''.join(payload).decode()}")

    def end(self, trailers: Fields) -> None:
        self._told.append("server: end" + (" with trailers" if trailers else ""))

    def flush(self) -> None:
        """Nothing is queued here."""

    def pause(self) -> None:
        self._told.append("server: stop")

    def resume(self) -> None:
        self._told.append("server: go on")

    def switch(self) -> None:
        self._told.append("server: bytes")

    def release(self) -> None:
        self.let_go += 1
        self._told.append("server: released")

    def abort(self, *, at_once: bool) -> None:
        self.let_go += 1
        self._told.append("server: aborted" + (" at once" if at_once else ""))


class Gateway:
    """A run's services; the test makes its connections."""

    def __init__(self, told: list[str], network: Network) -> None:
        self._told = told
        self.policy = Policy(network)
        self.trouble = ""
        self.against: Decision | None = None
        """The decision of the run's budget."""
        self.sent = 0
        self.authorizes_at_once = True
        self.time = 0.0
        self.entries: list[tuple[Result, float]] = []

    def clock(self) -> float:
        return self.time

    def now(self) -> float:
        return 1_800_000_000.0

    def problem(self) -> str:
        return self.trouble

    def decide(self, method: str, host: str, port: int, path: str) -> Decision:
        return self.policy.decide(method, host, port, path)

    def denies_paths(self, method: str, host: str, port: int) -> bool:
        return self.policy.denies_paths(method, host, port)

    def denied_path(self, method: str, host: str, port: int, path: str) -> Decision | None:
        return self.policy.denied_path(method, host, port, path)

    def ask(self, exchange: PendingExchange, method: str, target: str) -> Gateway:
        about = "" if method == exchange.request.method else f" about {method} {target}"
        self._told.append(f"user: asked{about}")
        return self

    def charge(self, exchange: PendingExchange) -> Decision | None:
        return self.against

    def ask_for_more(self, exchange: PendingExchange, decision: Decision) -> Gateway:
        self._told.append(f"user: asked about {decision.rule}")
        return self

    def send(self, entry: TrafficEntry, size: int) -> Decision | None:
        self.sent += size
        return self.against

    def withdraw(self) -> None:
        self._told.append("user: not asked any more")

    def authorize(self, exchange: PendingExchange) -> None:
        if self.authorizes_at_once:
            exchange.authorized(exchange.request, exchange.target)
        else:
            self._told.append("authorize")

    def connect(self, exchange: PendingExchange, *, fresh: bool) -> None:
        del exchange
        self._told.append("connect" + (" anew" if fresh else ""))

    def observer(self, exchange: PendingExchange) -> None:
        """There is no observer."""

    def put(self, entry: TrafficEntry) -> None:
        self.entries.append((entry.verdict, entry.total))


class Play:
    """An exchange with its surroundings; `heard` is what it did since the last look."""

    def __init__(
        self,
        method: str = "GET",
        *,
        framing: int = NO_BODY,
        minor: int = 1,
        overriding: tuple[str, ...] = (),
        upgrade: bytes | None = None,
        network: Network | None = None,
    ) -> None:
        self.told: list[str] = []
        self.gateway = Gateway(self.told, network or Network())
        request = RequestHead(method, "/x", [])
        request.framing, request.minor = framing, minor
        request.overriding, request.upgrade = overriding, upgrade
        self.upstream = Upstream(self.told)
        self.made: list[Upstream] = []
        self.exchange = Exchange(self.gateway, Downstream(self.told), request, DESTINATION, "/x")

    @property
    def heard(self) -> list[str]:
        heard = list(self.told)
        self.told.clear()
        return heard

    @property
    def entry(self) -> TrafficEntry:
        return self.exchange.entry

    def connected(self, *, reused: bool = False) -> None:
        self.upstream = Upstream(self.told, reused=reused)
        self.made.append(self.upstream)
        self.exchange.connected(self.upstream, None)

    def answer(self, verdict: Verdict, *rules: str) -> None:
        """Give the user's answer, by `rules` that decide from now on."""
        self.gateway.policy = Policy(Network(policy="ask"), rules or ["allow **"])
        self.exchange.answered_by_user(Decision(verdict, "the user's", "moat: no"))

    def authorize(self, credential: bytes) -> None:
        """Add a field to a copy of the request."""
        outgoing = self.exchange.request.copy()
        outgoing.fields.append((b"Authorization", credential))
        self.exchange.authorized(outgoing, self.exchange.target)

    def begun(self) -> None:
        """Go on until the request has been sent."""
        self.exchange.begin()
        self.connected()
        self.told.clear()

    def response(self, status: int = 200, framing: int = 2) -> None:
        head = ResponseHead(status, [], framing)
        head.upgrade = b"websocket" if status == 101 else None
        self.exchange.response_head(head)
