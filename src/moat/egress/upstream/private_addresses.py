"""Addresses that are private to the host and its network, and that a run may not dial unasked. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from moat.spec.hosts import embedded_ipv4

# More precise than `is_private`, and with addresses that the standard library takes for public.
_KINDS: Final[tuple[tuple[IPv4Network | IPv6Network, str], ...]] = (
    (IPv4Network("169.254.169.254/32"), "a cloud's metadata address"),
    (IPv4Network("169.254.170.2/32"), "a cloud's metadata address"),
    (IPv4Network("168.63.129.16/32"), "a cloud's metadata address"),
    (IPv4Network("100.100.100.200/32"), "a cloud's metadata address"),
    (IPv6Network("fd00:ec2::/32"), "a cloud's metadata address"),
    (IPv6Network("fd20:ce::254/128"), "a cloud's metadata address"),
    (IPv4Network("127.0.0.0/8"), "a loopback address"),
    (IPv6Network("::1/128"), "a loopback address"),
    (IPv4Network("0.0.0.0/8"), "this host's own address"),
    (IPv6Network("::/128"), "this host's own address"),
    (IPv4Network("169.254.0.0/16"), "link-local"),
    (IPv6Network("fe80::/10"), "link-local"),
    (IPv4Network("10.0.0.0/8"), "private"),
    (IPv4Network("172.16.0.0/12"), "private"),
    (IPv4Network("192.168.0.0/16"), "private"),
    (IPv4Network("100.64.0.0/10"), "private (a carrier's)"),
    (IPv6Network("fc00::/7"), "private"),
    (IPv6Network("fec0::/10"), "private (site-local)"),
    (IPv4Network("198.18.0.0/15"), "reserved for benchmarks, and for names in the sandbox"),
    (IPv4Network("224.0.0.0/4"), "multicast"),
    (IPv6Network("ff00::/8"), "multicast"),
    (IPv4Network("240.0.0.0/4"), "reserved"),
)


def why_private(address: IPv4Address | IPv6Address) -> str | None:
    """Return why an address is not public, as in "10.0.0.1 is private"; `None` if it is.

    An IPv6 address that carries an IPv4 one (mapped, compatible, 6to4, Teredo, NAT64) is also what
    it carries.
    """
    if isinstance(address, IPv6Address):
        for carried in embedded_ipv4(address):
            why = why_private(carried)
            if why is not None:
                return why
        if address.ipv4_mapped is not None:
            return None
    for network, kind in _KINDS:
        if address.version == network.version and address in network:
            return kind
    return None if address.is_global else "reserved"
