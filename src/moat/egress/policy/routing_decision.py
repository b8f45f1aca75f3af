"""The route of a connection from the sandbox: a tunnel, interception or a refusal. Pure.

Everyone who needs a route asks `decide_route`, which knows one order:

1. `network.tcp` opens a host and port to raw TCP, unless a rule denies all of that host.
2. `network.passthrough` lets TLS to a host through unread, unless a rule denies all of it.
3. Under `strict`, a host is refused where no rule could allow anything at that port.
4. An address that is private, and known without a lookup, is refused (`network.private`).
5. A port that nothing opens is refused.
6. Anything else is intercepted, and each of its requests is decided by itself (`policy.engine`).

Askers differ in what is known by then and in how a refusal can be told. A client of the proxy port
waits for the answer to its CONNECT, so steps 3 to 5 are taken before it has said anything else. A
captured connection skips them: it came by a port that is open, and its client is best answered in
its own protocol, by a 403 that names the rule. Of a request that names its server on the proxy port
only the port is to be checked (5), since it is decided by itself in any case. Whoever dials checks the
address once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Literal, Protocol

from moat.egress.policy.decision import Decision, Verdict
from moat.spec.network import WEB_PORTS

if TYPE_CHECKING:
    from moat.egress.policy.engine import Policy


class Asker(Enum):
    """The asker for a route, and so what is known of the connection."""

    CAPTURED = auto()
    """A captured connection, not a byte of which has been read."""
    TLS = auto()
    """A captured connection, or one behind CONNECT or SOCKS, that begins with a ClientHello."""
    CONNECT = auto()
    """A client of the proxy port that waits for the answer to its CONNECT."""
    SOCKS = auto()
    """A client of the proxy port that waits for the answer to its SOCKS request."""
    REQUEST = auto()
    """A client of the proxy port whose request names a server in absolute-form."""
    TCP_TUNNEL = auto()
    """A tunnel of raw TCP that is open while the policy changes."""
    TLS_TUNNEL = auto()
    """A tunnel of TLS that is open while the policy changes."""
    HTTP_TEST = auto()
    """`moat policy test` of an `http://` URL."""
    HTTPS_TEST = auto()
    """`moat policy test` of an `https://` URL."""


_INTERCEPTORS: Final = frozenset((Asker.CAPTURED, Asker.TLS))
_TUNNELS: Final = frozenset((Asker.TCP_TUNNEL, Asker.TLS_TUNNEL))
_TESTS: Final = frozenset((Asker.HTTP_TEST, Asker.HTTPS_TEST))
_SPEAKERS_OF_TLS: Final = frozenset((Asker.TLS, Asker.TLS_TUNNEL, Asker.HTTPS_TEST))


@dataclass(frozen=True, slots=True)
class OpenTunnel:
    """The bytes pass unread, both ways."""

    scheme: Literal["tcp", "tls"]
    rule: str
    """The entry of `network.tcp` or `network.passthrough` that opens it."""


@dataclass(frozen=True, slots=True)
class Intercept:
    """The connection is read, and each request on it is decided by itself."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The connection leads nowhere."""

    decision: Decision
    """Always a denial."""


Route = OpenTunnel | Intercept | Refuse


class KnownAddresses(Protocol):
    def refusal(self, host: str) -> str | None:
        """Why the host may not be dialled, as far as that is known without a lookup."""
        ...


def decide_route(
    policy: Policy, addresses: KnownAddresses, asker: Asker, host: str, port: int
) -> Route:
    """Return where a connection to a canonical host and port leads."""
    if asker is Asker.REQUEST:
        return Intercept() if policy.opens(port) else Refuse(policy.unopened(host, port))
    raw = policy.tcp(host, port)
    if raw is not None and raw.verdict is Verdict.DENY:
        return Intercept() if _is_answered_inside(asker, port) else Refuse(raw)
    entry = policy.passes_through(host, port)
    tunnel: OpenTunnel | None = None
    if raw is not None:
        tunnel = OpenTunnel("tcp", raw.rule)
    elif entry is not None and asker in _SPEAKERS_OF_TLS:
        tunnel = OpenTunnel("tls", entry)
    if asker in _INTERCEPTORS:
        return tunnel or Intercept()
    if asker in _TUNNELS:
        return tunnel or Refuse(policy.overruling(host, port) or policy.unopened(host, port))
    refusal = _refusal(policy, addresses, asker, host, port)
    return tunnel or Intercept() if refusal is None else Refuse(refusal)


def private_address(why: str) -> Decision:
    """Return the denial of a host whose address is private. `why`: in one line, and what to change."""
    return Decision(Verdict.DENY, "network.private", f"moat: denied: {why}")


def _is_answered_inside(asker: Asker, port: int) -> bool:
    """Tell whether a client can read in its own protocol that it is denied.

    A client that waits for the server's first word, as many do elsewhere than on the web's ports,
    would wait in vain.
    """
    return asker is Asker.TLS or (asker is Asker.CAPTURED and port in WEB_PORTS)


def _refusal(
    policy: Policy, addresses: KnownAddresses, asker: Asker, host: str, port: int
) -> Decision | None:
    """Return what is to be told before anything is said on the connection."""
    hidden = policy.hidden(host, port)
    if hidden is not None:
        return hidden if asker in _TESTS else policy.decide("CONNECT", host, port, "/")
    # A tunnel is dialled at once, and the dial checks the address. A test dials nothing.
    dialled = policy.tcp(host, port) is not None or policy.passes_through(host, port) is not None
    private = addresses.refusal(host) if asker in _TESTS or not dialled else None
    if private is not None:
        return private_address(private)
    return None if policy.opens(port) else policy.unopened(host, port)
