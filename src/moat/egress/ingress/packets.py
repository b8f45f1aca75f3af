"""Packets of attempts that the kernel has refused, read for where they were going. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, NamedTuple

_TCP, _UDP, _UDP_LITE, _ICMP, _ICMP6 = 6, 17, 136, 1, 58
_NAMES: Final = {
    _TCP: "tcp", _UDP: "udp", _UDP_LITE: "udplite", _ICMP: "icmp", _ICMP6: "icmp",
    132: "sctp", 33: "dccp",
}  # fmt: skip
_WITH_PORTS: Final = frozenset((_TCP, _UDP, _UDP_LITE, 132, 33))
_PORT_UNREACHABLE: Final = frozenset(((_ICMP, b"\x03\x03"), (_ICMP6, b"\x01\x04")))
_RST: Final = 0x04
_DNS: Final = 53
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _FOR_TARGET = 0, 43, 44, 60
_EXTENSIONS: Final = frozenset((_HOP_BY_HOP, _ROUTING, _FRAGMENT, _FOR_TARGET))


class BlockedAttempt(NamedTuple):
    protocol: str
    """The protocol by name: tcp, udp, icmp, ..."""
    address: str
    """The address that the attempt was for."""
    port: int
    """The port, or 0 if the protocol has none."""


class _Packet(NamedTuple):
    protocol: int
    source: str
    target: str
    content: bytes

    def port(self, at: int) -> int:
        if self.protocol not in _WITH_PORTS:
            return 0
        return int.from_bytes(self.content[at : at + 2], "big")

    @property
    def source_port(self) -> int:
        return self.port(0)

    @property
    def attempt(self) -> BlockedAttempt:
        name = _NAMES.get(self.protocol, f"ip protocol {self.protocol}")
        return BlockedAttempt(name, self.target, self.port(2))


def blocked_attempt(packet: bytes) -> BlockedAttempt | None:
    """Return the attempt that a packet belongs to, if the kernel has refused it.

    `packet` begins with its IP header; the packet filter of the sandbox lets only such packets through
    as tell of an attempt.
    """
    read = _read(packet)
    if read is None:
        return None
    if read.protocol == _TCP and len(read.content) > 13 and read.content[13] & _RST:
        # A reset is the answer: it comes from where the connection was to go.
        return BlockedAttempt("tcp", read.source, read.source_port)
    if (read.protocol, read.content[:2]) in _PORT_UNREACHABLE:
        original = _read(read.content[8:])
        # A DNS reply to a program that has stopped waiting. No program has that source port.
        if original is None or (original.protocol == _UDP and original.source_port == _DNS):
            return None
        return original.attempt
    return read.attempt


def _read(packet: bytes) -> _Packet | None:
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        header = (packet[0] & 15) * 4
        return _Packet(packet[9], _shown(packet[12:16]), _shown(packet[16:20]), packet[header:])
    if version == 6 and len(packet) >= 40:
        protocol, content = _behind_extensions(packet[6], packet[40:])
        return _Packet(protocol, _shown(packet[8:24]), _shown(packet[24:40]), content)
    return None


def _behind_extensions(protocol: int, content: bytes) -> tuple[int, bytes]:
    """Skip the extension headers of IPv6 (RFC 8200 4)."""
    while protocol in _EXTENSIONS and len(content) >= 8:
        size = 8 if protocol == _FRAGMENT else (content[1] + 1) * 8
        protocol, content = content[0], content[size:]
    return protocol, content


def _shown(address: bytes) -> str:
    return str(ip_address(address))
