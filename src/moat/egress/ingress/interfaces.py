"""The parts of a run that a new connection needs.

The acceptor and the proxy port know their surroundings by these protocols alone; the gateway puts
them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from moat.egress.http.interfaces import ServerGateway
    from moat.egress.ingress.new_connection import NewConnection
    from moat.egress.policy.decision import Decision
    from moat.egress.policy.routing_decision import Asker, OpenTunnel, Route


class Certificates(Protocol):
    async def context(self, host: str) -> ssl.SSLContext:
        """Return the context of a server with this canonical host, for one connection."""
        ...


class Reporter(Protocol):
    def denied(
        self, scheme: str, host: str, port: int, decision: Decision, status: int = 0
    ) -> None: ...
    def failed(self, scheme: str, host: str, port: int, why: str) -> None: ...


class Tunnels(Protocol):
    async def open(self, connection: NewConnection, route: OpenTunnel) -> None:
        """Join the connection to its server, or close it."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The services of a run for its new connections."""

    host_of: Callable[[str], str]
    """Return the name behind a synthetic address; any other host in its canonical form."""
    route: Callable[[Asker, str, int], Route]
    """Return where a connection to a host and port leads."""
    answer_dns: Callable[[bytes, str], bytes | None]
    """Return the reply to a DNS message that came over the given transport."""
    certificates: Certificates
    reporter: Reporter
    tunnels: Tunnels
    http: ServerGateway
