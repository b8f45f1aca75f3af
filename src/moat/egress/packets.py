"""What a packet says of an attempt that the kernel has refused. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, NamedTuple

_TCP, _UDP, _ICMP, _ICMP6 = 6, 17, 1, 58
_NAMES: Final = {_TCP: "tcp", _UDP: "udp", _ICMP: "icmp", _ICMP6: "icmp", 132: "sctp", 33: "dccp"}
_LOOPBACK6: Final = "::1"


class Refused(NamedTuple):
    protocol: str
    """tcp, udp, icmp, ..."""
    address: str
    """Where it was to go."""
    port: int
    """0 where the protocol has none."""


class _Packet(NamedTuple):
    protocol: int
    source: str
    target: str
    content: bytes


def refused(packet: bytes) -> Refused | None:
    """Of a packet as `engines.packet_filter` lets through, from its IP header; `None` for others."""
    found = _read(packet)
    if found is None:
        return None
    protocol, source, target, content = found
    if protocol == _TCP:  # the answer: it comes from where the connection was to go
        result = Refused("tcp", source, int.from_bytes(content[0:2], "big"))
    elif (protocol, content[:2]) in {(_ICMP, b"\x03\x03"), (_ICMP6, b"\x01\x04")}:
        original = _read(content[8:])
        if original is None:
            return None
        port = int.from_bytes(original.content[2:4], "big")
        result = Refused(_name(original.protocol), original.target, port)
    else:
        result = Refused(_name(protocol), target, 0)
    return None if result.address == _LOOPBACK6 else result


def _read(packet: bytes) -> _Packet | None:
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        header = (packet[0] & 15) * 4
        return _Packet(packet[9], _shown(packet[12:16]), _shown(packet[16:20]), packet[header:])
    if version == 6 and len(packet) >= 40:
        return _Packet(packet[6], _shown(packet[8:24]), _shown(packet[24:40]), packet[40:])
    return None


def _shown(address: bytes) -> str:
    return str(ip_address(address))


def _name(protocol: int) -> str:
    return _NAMES.get(protocol, f"ip protocol {protocol}")
