"""What a run may reach: the network's part of a `RunSpec`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

PolicyMode = Literal["permissive", "strict", "ask"]
Capture = Literal["none", "headers", "bodies"]

DNS_PORT: Final = 53
PROXY_PORT: Final = 3128
"""In the sandbox these two are answered by Moat itself, whatever the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds after which the proxy gives up."""

    connect: float = 10.0
    """Name resolution and the TCP connection to a server, together."""
    tls: float = 10.0
    """A TLS handshake, on either side."""
    header: float = 30.0
    """From the first byte of a request's head to its last."""
    idle: float = 900.0
    """Without a byte in either direction of an exchange or a tunnel: models think for minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The policy of a run and how it is carried out. The language of the rules: docs/network.md."""

    policy: PolicyMode = "permissive"
    rules: tuple[str, ...] = ()
    """`allow|deny [METHOD] host[:port][/path]`; the first that matches decides."""
    allow: tuple[str, ...] = ()
    """Hosts: each is a rule `allow HOST`, after `rules`."""
    tcp: tuple[str, ...] = ()
    """`host:port` to which raw TCP is opened."""
    passthrough: tuple[str, ...] = ()
    """Hosts whose TLS is tunnelled by its SNI, unread."""
    hosts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name to address, instead of the host's resolution."""
    private: tuple[str, ...] = ()
    """CIDRs and hosts that may be reached although their addresses are private."""
    upstream_ca: str = ""
    """PEM certificates that are trusted upstream, besides the host's own."""
    upstream_proxy: str = ""
    """URL of the host's own proxy, in which tunnels lead upstream; may hold a password."""
    upstream_http_proxy: str = ""
    """The same for plain HTTP, which it is given request by request; most often the same one."""
    no_upstream_proxy: str = ""
    """Hosts reached without them, as in NO_PROXY."""
    capture: Capture = "none"
    ask_timeout: float = 60.0
    """Seconds that a request waits for an answer under `ask`; then it is denied."""
    timeouts: Timeouts = Timeouts()
