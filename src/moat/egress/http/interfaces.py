"""The protocols that an exchange and its surroundings know each other by. Pure.

An `Exchange` stands between a `Downstream` and an `Upstream` and belongs to a `Gateway`. It implements
`PendingExchange`, which is what its gateway needs of it, and `ResponseReceiver`, which is what its
upstream needs. A client's `Connection` makes the exchanges, and belongs to a `ServerGateway`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.http.messages import BadMessageError, Payload, RequestHead, ResponseHead
    from moat.egress.http.observer import Observer
    from moat.egress.http.request_body import RequestBody
    from moat.egress.policy.decision import Decision
    from moat.egress.traffic.entry import Fields, TrafficEntry
    from moat.spec.network import Timeouts

KEEP_ALIVE: Final = 75.0
"""Seconds that a client's connection may wait for its next request."""
UNUSED: Final = "closed without a request"
INCOMPLETE: Final = "closed before the request was complete"
"""Text for a connection that its client abandoned."""


class Destination:
    """The server that a request is for: the one that the program dialled, and no other."""

    __slots__ = ("authority", "host", "key", "port", "scheme")

    def __init__(self, scheme: str, host: str, port: int) -> None:
        self.scheme = scheme
        self.host = host
        """The host's name in canonical form."""
        self.port = port
        shown = f"[{host}]" if ":" in host else host
        usual = port == (443 if scheme == "https" else 80)
        self.authority = (shown if usual else f"{shown}:{port}").encode("ascii")
        """The server in the form of the Host field."""
        self.key = (scheme, host, port)


class Timing(Protocol):
    """Durations of the steps to a server, in seconds; negative for a step that wasn't taken."""

    dns: float
    connect: float
    tls: float


class Downstream(Protocol):
    """The side that asked: a client's connection, or a stream of one."""

    protocol: str

    def respond(self, head: ResponseHead) -> None:
        """Send a final or an informational head."""
        ...

    def send(self, payload: Payload) -> None: ...
    def end(self, trailers: Fields) -> None: ...
    def flush(self) -> None: ...
    def abort(self) -> None:
        """Break off a response that can't be completed, so that the client notices."""
        ...

    def pause(self) -> None:
        """Stop reading the request's body."""
        ...

    def hold(self) -> None:
        """Stop reading for as long as a user may think, but still notice that the client leaves."""
        ...

    def resume(self) -> None: ...
    def switch(self) -> None:
        """Pass bytes in both directions from now on."""
        ...


class ResponseReceiver(Protocol):
    """An exchange as its upstream sees it."""

    def response_head(self, head: ResponseHead) -> None: ...
    def response_data(self, payload: Payload) -> None: ...
    def response_end(self, trailers: Fields) -> None: ...
    def response_flush(self) -> None: ...
    def upstream_full(self) -> None:
        """The server takes no more of the request for now."""
        ...

    def upstream_drained(self) -> None: ...
    def upstream_lost(self, why: str, *, unused: bool) -> None:
        """The connection broke; `unused`: before the first byte of the response."""
        ...

    def failed(self, status: int, why: str) -> None: ...


class Upstream(Protocol):
    """The side that answers: a connection to a server, or a stream of one."""

    address: str
    """The address of its other end."""
    reused: bool
    """The connection has served a request before, so it may have gone stale."""

    def request(self, exchange: ResponseReceiver, request: RequestHead, target: str) -> None:
        """Send a head; the response goes to `exchange`."""
        ...

    def send(self, payload: Payload) -> None: ...
    def end(self, trailers: Fields) -> None:
        """End the request; after a `switch`, end sending altogether."""
        ...

    def flush(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def switch(self) -> None: ...
    def release(self) -> None:
        """Make the connection free for another exchange."""
        ...

    def abort(self, *, at_once: bool) -> None:
        """Give up the exchange; `at_once`: drop what is waiting to be sent, too."""
        ...


class PendingExchange(ResponseReceiver, Protocol):
    """An exchange as its gateway sees it, while it waits for the next step."""

    @property
    def request(self) -> RequestHead: ...
    @property
    def destination(self) -> Destination: ...
    @property
    def target(self) -> str: ...
    @property
    def downstream(self) -> Downstream: ...
    @property
    def entry(self) -> TrafficEntry: ...
    @property
    def body(self) -> RequestBody: ...
    def answered_by_user(self, decision: Decision) -> None: ...
    def authorized(
        self, request: RequestHead, target: str, receiver: ResponseReceiver | None = None
    ) -> None:
        """Send this request upstream.

        `target`: in origin-form, or `*`. `receiver`: gets the response in place of the exchange.
        """
        ...

    def withdraw(self) -> bool:
        """Take the request back from the server, to have it authorized anew.

        Its body has been kept, and the response that has begun goes nowhere. Return `False` if the
        request can't be repeated: then nothing has changed.
        """
        ...

    def connected(self, upstream: Upstream, timing: Timing | None) -> None: ...
    def deny(self, decision: Decision, status: int = 403) -> None: ...


class Question(Protocol):
    """A question that waits for the user's answer."""

    def withdraw(self) -> None:
        """Cancel the question: nobody needs the answer any more."""
        ...


class Gateway(Protocol):
    """The services of a run that an exchange depends on."""

    clock: Callable[[], float]
    """Return monotonic seconds."""
    now: Callable[[], float]
    """Return seconds since the epoch."""

    def problem(self) -> str:
        """Return the reason why nothing may pass at all; empty while all is well."""
        ...

    def decide(self, method: str, host: str, port: int, path: str) -> Decision: ...
    def denies_paths(self, method: str, host: str, port: int) -> bool:
        """Tell whether a rule denies some paths of a host to a method."""
        ...

    def denied_path(self, method: str, host: str, port: int, path: str) -> Decision | None:
        """Return the denial of a path that a request only mentions, by a rule about paths."""
        ...

    def ask(self, exchange: PendingExchange, method: str, target: str) -> Question:
        """Ask the user.

        A call of `exchange.answered_by_user` follows later, unless the question is withdrawn.
        """
        ...

    def authorize(self, exchange: PendingExchange) -> None:
        """Prepare the request for the server, with the credentials that the run grants it.

        A call of `exchange.authorized` follows, perhaps at once: with `exchange.request`, or with a
        copy that has other fields, and with the target or another one. What the client sent stays as it
        is, for the record and for the policy. Else a call of `exchange.deny` or `exchange.failed`
        follows.
        """
        ...

    def charge(self, exchange: PendingExchange) -> Decision | None:
        """Count a request that is allowed, before it goes upstream.

        Return the decision against it where a limit of the run is used up: a denial, or a question.
        """
        ...

    def ask_for_more(self, exchange: PendingExchange, decision: Decision) -> Question:
        """Ask the user to raise the limit that `decision` is about; the rest is as with `ask`."""
        ...

    def send(self, entry: TrafficEntry, size: int) -> Decision | None:
        """Count bytes of a body or trailers before they go upstream, or return the denial of them."""
        ...

    def revoked(self, credential: str) -> Decision | None:
        """Return the denial of a request that used a credential which is gone meanwhile."""
        ...

    def connect(self, exchange: PendingExchange, *, fresh: bool) -> None:
        """Find a connection; a new one if `fresh`.

        A call of `exchange.connected`, `exchange.deny` or `exchange.failed` follows, perhaps at once.
        """
        ...

    def observer(self, exchange: PendingExchange) -> Observer | None:
        """Return an observer for the few exchanges of which more is recorded than their entry."""
        ...

    def put(self, entry: TrafficEntry) -> None:
        """Record an entry as it is now."""
        ...


class Connection(Protocol):
    """A connection from a client, while it is served."""

    waiting_since: float
    """Time at which the connection began to wait for a request, in monotonic seconds."""

    @property
    def idle(self) -> bool:
        """Tell whether the connection waits for a request."""
        ...

    def check(self, now: float, timeouts: Timeouts) -> None:
        """End what has taken too long; `now`: in monotonic seconds."""
        ...

    def reconsider(self) -> None:
        """Break off what the present policy denies."""
        ...

    def close(self) -> None: ...


class ServerGateway(Gateway, Protocol):
    """The services of a run that a client's connection and its exchanges depend on."""

    def opened(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...
    def abandoned(self, destination: Destination | None, why: str) -> None:
        """Record a connection without a complete request, since no entry tells of it.

        `destination`: `None` for the proxy's own port.
        """
        ...

    def malformed(self, destination: Destination | None, problem: BadMessageError) -> None:
        """Record a request that can't be understood."""
        ...
