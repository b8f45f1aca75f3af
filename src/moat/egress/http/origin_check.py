"""How a connection came, and so where its requests may go. Pure.

What the program dialled, the name in its TLS handshake and the Host of each request must be one: a
request that says otherwise is answered by us and goes nowhere, because every rule and every
credential hangs on that name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from moat.egress.http.interfaces import Destination
from moat.egress.http.messages import BadMessageError
from moat.egress.names import canonical_host
from moat.egress.policy.decision import Decision, Verdict

if TYPE_CHECKING:
    from moat.egress.http.messages import RequestHead
    from moat.spec.network import Timeouts

LEFT: Final = "closed before it asked for anything"
LEFT_HALFWAY: Final = "closed before its request was complete"
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Found(NamedTuple):
    destination: Destination
    target: str
    """In origin-form, or `*`."""
    refusal: Decision | None = None
    status: int = 403


class Connection(Protocol):
    """One that is served."""

    waits_since: float
    """When it began to wait for a request."""

    @property
    def idle(self) -> bool:
        """It waits for a request."""
        ...

    def check(self, now: float, timeouts: Timeouts) -> None:
        """Ends what has taken too long."""
        ...

    def reconsider(self) -> None:
        """Ends what the policy denies as it has become."""
        ...

    def close(self) -> None: ...


class Connections(Protocol):
    """Those who want to know which connections there are."""

    def opened(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...
    def left(self, arrival: Arrival, why: str) -> None: ...
    def malformed(self, arrival: Arrival, problem: BadMessageError) -> None: ...


class Arrival:
    """Of one connection. Of a captured one the destination is known; a proxy's names it each time."""

    __slots__ = ("_connections", "destination", "disagreement")

    def __init__(
        self, connections: Connections, destination: Destination | None, disagreement: str = ""
    ) -> None:
        self._connections = connections
        self.destination = destination
        """`None` on the proxy's own port, where requests come in absolute-form."""
        self.disagreement = disagreement
        """Why nothing that comes this way can go on: the handshake named another server."""

    def opened(self, connection: Connection) -> None:
        self._connections.opened(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.closed(connection)

    def left(self, why: str) -> None:
        """It is over, and what was tried by it is in no line of the record yet."""
        self._connections.left(self, why)

    def malformed(self, problem: BadMessageError) -> None:
        self._connections.malformed(self, problem)

    def destination_of(self, request: RequestHead) -> Found:
        """Raises `BadMessageError` for a request that names no destination in a valid way."""
        target = request.target
        destination = self.destination
        if (
            destination is not None
            and request.host == destination.authority
            and target[0] == "/"
            and "#" not in target
            and not self.disagreement
        ):
            return Found(destination, target)
        return self._checked(request)

    def _checked(self, request: RequestHead) -> Found:
        if request.method == "CONNECT":
            if self.destination is None:
                raise BadMessageError("CONNECT comes first on its connection")
            raise BadMessageError("CONNECT is for the proxy's own port", 405)
        named, target = _split(request)
        if self.destination is None:
            if named is None:
                raise BadMessageError("a proxy's request names the whole URL")
            if request.host is not None and _authority(named.scheme, request.host) != named.key[1:]:
                raise BadMessageError("Host and URL name different servers")
            return Found(named, target)
        reached = self.destination
        if self.disagreement:
            return Found(reached, target, _misdirected(self.disagreement), 421)
        said = [] if named is None else [named.key]
        if request.host is not None:
            said.append((reached.scheme, *_authority(reached.scheme, request.host)))
        for each in said:
            if each != reached.key:
                why = f"the request is for {_shown(each)}, the connection for {_shown(reached.key)}"
                return Found(reached, target, _misdirected(why), 421)
        return Found(reached, target)


def _misdirected(why: str) -> Decision:
    return Decision(Verdict.DENY, "one destination", f"moat: denied: {why}")


def _shown(key: tuple[str, str, int]) -> str:
    scheme, host, port = key
    return f"{scheme}://{host}:{port}"


_ABSOLUTE: Final = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_AUTHORITY: Final = re.compile(
    # In A-labels only: a server would take other bytes as they are, or in an encoding of its own.
    r"(\[[0-9A-Fa-f]*:[0-9A-Fa-f:.]+\]|[\x21-\x39\x3b-\x5a\x5c\x5e-\x7e]+)(?::([0-9]{1,5}))?"
)


def _split(request: RequestHead) -> tuple[Destination | None, str]:
    """The destination that the target names, if it does, and the target in origin-form."""
    target = request.target
    if target == "*" and request.method == "OPTIONS":
        return None, target
    if "#" in target:
        raise BadMessageError("the target has a fragment")
    if target.startswith("/"):
        return None, target
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise BadMessageError("the target is neither a path nor a URL")
    scheme = match[1].lower()
    path = match[3]
    if not path.startswith("/"):
        path = f"/{path}"
    return Destination(scheme, *_authority(scheme, match[2].encode("ascii"))), path


def _authority(scheme: str, text: bytes) -> tuple[str, int]:
    return parse_authority(text.decode("latin-1"), DEFAULT_PORTS[scheme])


def parse_authority(text: str, default_port: int) -> tuple[str, int]:
    """`host[:port]` (RFC 3986 3.2), canonical. Raises `BadMessageError`."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise BadMessageError("malformed name of a server")
    port = int(match[2]) if match[2] else default_port
    try:
        host = canonical_host(match[1].strip("[]"))
    except ValueError as exc:
        raise BadMessageError(f"malformed name of a server: {exc}") from None
    if not 0 < port < 65536:
        raise BadMessageError("the port is not one")
    return host, port
