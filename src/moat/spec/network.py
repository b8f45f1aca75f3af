"""The network section of a `RunSpec`: what the run may reach, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from moat.spec.mcp import McpServer

PolicyMode = Literal["permissive", "strict", "ask"]
Capture = Literal["none", "headers", "bodies"]

DNS_PORT: Final = 53
PROXY_PORT: Final = 3128
"""Moat itself answers on these two ports of every address in the sandbox."""
WEB_PORTS: Final = (80, 443)
"""Connections to these ports of any address end at the proxy, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds after which the proxy gives up."""

    connect: float = 10.0
    """Name resolution and the TCP connection to a server, together."""
    tls: float = 10.0
    """A TLS handshake, upstream or downstream."""
    header: float = 30.0
    """The time from the first byte of a request's head to its last."""
    idle: float = 900.0
    """The time without a byte in either direction of an exchange or tunnel: models think for minutes."""


HOST_NAME: Final = "host.moat"
"""The name of the host in the sandbox, at which services of its loopback can be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostService:
    """A service on the host's loopback that a run may reach at `HOST_NAME`."""

    port: int
    name: str = ""
    """Empty where it has none."""

    @property
    def variable(self) -> str:
        """The variable that tells programs of the sandbox where a service is that has a name."""
        return f"MOAT_HOST_{self.name.upper().replace('-', '_')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The policy of a run, and how it is carried out. docs/network.md explains the language of rules."""

    policy: PolicyMode = "permissive"
    rules: tuple[str, ...] = ()
    """`allow|deny [METHOD] host[:port][/path]`; the first that matches decides."""
    allow: tuple[str, ...] = ()
    """Hosts, each of which is a rule `allow HOST` after `rules`."""
    tcp: tuple[str, ...] = ()
    """`host:port` to which raw TCP is open."""
    passthrough: tuple[str, ...] = ()
    """Hosts whose TLS connections are tunnelled by SNI and not intercepted."""
    hosts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Addresses of names, used in place of name resolution on the host."""
    host: tuple[HostService, ...] = ()
    """The services of the host that may be reached; nothing else of it can."""
    mcp: tuple[McpServer, ...] = ()
    """MCP servers; of several at one URL, the first decides about calls of tools."""
    private: tuple[str, ...] = ()
    """Networks (CIDR) and hosts that may be reached although their addresses are private."""
    upstream_ca: str = ""
    """PEM certificates that are trusted upstream, in addition to the host's own."""
    project_ca: str = ""
    """PEM certificates of the project's file, which are trusted for `project_ca_hosts` alone."""
    project_ca_hosts: tuple[str, ...] = ()
    """`allow|deny host`; the first that matches decides, and none means that they aren't trusted."""
    upstream_proxy: str = ""
    """URL of the host's own proxy, through which tunnels lead upstream; may hold a password."""
    upstream_http_proxy: str = ""
    """URL of the host's own proxy for plain HTTP, which gets each request; mostly the same proxy."""
    no_upstream_proxy: str = ""
    """Hosts that are reached without these proxies, in the form of NO_PROXY."""
    capture: Capture = "none"
    """The parts of each request that are recorded beyond its entry."""
    traffic_limit: int = 256 * 1024 * 1024
    """Bytes of the record; the oldest entries are dropped, and their sums kept."""
    ask_timeout: float = 60.0
    """Seconds that a request waits for an answer under `ask`, after which it is denied."""
    timeouts: Timeouts = Timeouts()
