"""What an exchange stands between, and what it needs of its run: protocols only. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.http.exchange import Exchange
    from moat.egress.http.h1.bodies import Payload
    from moat.egress.http.h1.parser import RequestHead, ResponseHead
    from moat.egress.http.observer import Observer
    from moat.egress.policy.engine import Decision
    from moat.egress.traffic.entry import Entry, Fields


class Destination:
    """Where a request goes: what the program dialled, and all that it says agrees with that."""

    __slots__ = ("authority", "host", "key", "port", "scheme")

    def __init__(self, scheme: str, host: str, port: int) -> None:
        self.scheme = scheme
        self.host = host
        """Canonical."""
        self.port = port
        shown = f"[{host}]" if ":" in host else host
        usual = port == (443 if scheme == "https" else 80)
        self.authority = (shown if usual else f"{shown}:{port}").encode("ascii")
        """As the Host field has it."""
        self.key = (scheme, host, port)


class Timing(Protocol):
    """How long it took to reach a server; seconds, negative for what did not take place."""

    dns: float
    connect: float
    tls: float


class Downstream(Protocol):
    """The side that asked."""

    protocol: str

    def respond(self, head: ResponseHead) -> None:
        """A final or an informational head."""
        ...

    def send(self, payload: Payload) -> None: ...
    def end(self, trailers: Fields) -> None: ...
    def flush(self) -> None: ...
    def abort(self) -> None:
        """The response can't be completed: make that visible."""
        ...

    def pause(self) -> None:
        """Take no more of the request's body."""
        ...

    def hold(self) -> None:
        """The same, for as long as a user may think: say all the same when the client has left."""
        ...

    def resume(self) -> None: ...
    def switch(self) -> None:
        """Both directions are bytes from now on."""
        ...


class Upstream(Protocol):
    """The side that answers: a connection, or a stream of one."""

    address: str
    """Of its other end."""
    reused: bool
    """It served a request before, so it may have gone stale."""

    def request(self, exchange: Exchange, request: RequestHead, target: str) -> None: ...
    def send(self, payload: Payload) -> None: ...
    def end(self, trailers: Fields) -> None:
        """Of the request; after a `switch`, of all that is said to the server."""
        ...

    def flush(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def switch(self) -> None: ...
    def release(self) -> None:
        """The exchange is over: the connection may serve another."""
        ...

    def abort(self, *, at_once: bool) -> None:
        """The exchange won't be completed. `at_once`: nor does what waits go out any more."""
        ...


class Question(Protocol):
    """What the user is asked."""

    def withdraw(self) -> None:
        """Nobody wants the answer any more."""
        ...


class Gateway(Protocol):
    """What an exchange needs of its run."""

    clock: Callable[[], float]
    """Seconds, monotonic."""
    now: Callable[[], float]
    """Seconds since the epoch."""

    def problem(self) -> str:
        """Why nothing may pass at all; empty where it may."""
        ...

    def decide(self, method: str, host: str, port: int, path: str) -> Decision: ...
    def ask(self, exchange: Exchange, method: str, target: str) -> Question:
        """`exchange.answered_by_user` follows, not at once, unless it is withdrawn before."""
        ...

    def connect(self, exchange: Exchange, *, fresh: bool) -> None:
        """`exchange.connected` or `exchange.failed` follows, perhaps at once."""
        ...

    def observer(self, exchange: Exchange) -> Observer | None:
        """Of the few exchanges of which more is kept than their line of the record."""
        ...

    def put(self, entry: Entry) -> None: ...
