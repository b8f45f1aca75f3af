"""Patterns for hosts, as rules have them: names with wildcards, addresses and networks. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from moat.spec.hosts import address_of, canonical_host, embedded_ipv4, is_address

_WILDCARDS: Final = {"*": r"[^.]+", "**": r"[^.]+(?:\.[^.]+)*"}


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A host name, in which `*` is one label and `**` any number of them, at least one."""

    text: str
    """The pattern in canonical form."""
    _regex: re.Pattern[str]

    def matches(self, host: str, *, embedded: bool) -> bool:
        """Tell whether a canonical host is meant; of all names, only `**` means addresses as well."""
        del embedded
        if is_address(host) and self.text != "**":
            return False
        return self._regex.fullmatch(host) is not None


@dataclass(frozen=True, slots=True)
class NetworkPattern:
    """A network, or a single address."""

    text: str
    """The pattern in canonical form."""
    _network: IPv4Network | IPv6Network

    def matches(self, host: str, *, embedded: bool) -> bool:
        """Tell whether a canonical host is an address in the network.

        `embedded`: or an IPv6 address that a translator on the way may turn into one.
        """
        address = address_of(host)
        if address is None or address in self._network:
            return address is not None
        if not embedded or not isinstance(address, IPv6Address):
            return False
        return any(each in self._network for each in embedded_ipv4(address))


HostPattern = NamePattern | NetworkPattern


def parse_host_pattern(text: str) -> HostPattern:
    """Parse the host of a rule; an IPv6 address may stand in brackets. Raises `ValueError`."""
    bare = text.strip("[]")
    if bare == text:
        _refuse_ambiguous_port(bare)
    if "/" in bare or ":" in bare:
        network = _without_mapping(ip_network(bare, strict=False))
        return NetworkPattern(str(network), network)
    if "*" in bare:
        return _parse_wildcards(bare)
    host = canonical_host(bare)
    if is_address(host):
        return NetworkPattern(host, ip_network(host))
    return NamePattern(host, re.compile(re.escape(host)))


def _refuse_ambiguous_port(text: str) -> None:
    """Raise `ValueError` for `::1:80`, which is an address, or an address and a port."""
    address, _, port = text.rpartition(":")
    if port.isdecimal() and _is_ipv6(address):
        raise ValueError(f"an address, or one and a port? Write [{text}] or [{address}]:{port}")


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _without_mapping(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return the IPv4 network that an IPv6 network of mapped addresses (RFC 4291) stands for.

    Canonical hosts never are mapped addresses, so such a network would match nothing.
    """
    first = network.network_address
    if isinstance(first, IPv6Address) and first.ipv4_mapped and network.prefixlen >= 96:
        return IPv4Network((first.ipv4_mapped, network.prefixlen - 96))
    return network


def _parse_wildcards(text: str) -> NamePattern:
    labels = text.lower().removesuffix(".").split(".")
    host = ".".join(_canonical_label(each, text) for each in labels)
    parts = (_WILDCARDS.get(label, re.escape(label)) for label in host.split("."))
    return NamePattern(host, re.compile(r"\.".join(parts)))


def _canonical_label(label: str, pattern: str) -> str:
    if label in _WILDCARDS:
        return label
    if "*" in label:
        raise ValueError(f"in {pattern!r}, * stands for a whole label")
    # A second label makes a name of it: alone, a number would be an address.
    return canonical_host(f"{label}.a").removesuffix(".a")
