"""A filter for packets of the sandbox's loopback that show a refused attempt to reach the network. Pure.

It is a classic BPF program (bpf(4), <linux/filter.h>) for a packet socket: the kernel drops all other
packets before they are queued. The filter passes resets that answer a SYN, ICMP's "port unreachable",
echo requests, and packets that get no answer because nothing in the sandbox can give one: datagrams
to multicast and broadcast addresses, and protocols other than TCP, UDP and ICMP. It drops what
programs do on 127.0.0.0/8 and ::1, which is their own business, and the kernel's own multicast
housekeeping (IGMP, MLD, neighbour discovery).
"""

from __future__ import annotations

import itertools
import struct
from typing import Final, TypeAlias

_LD_BYTE, _LD_WORD = 0x30, 0x20  # at an offset from the packet's beginning, the IP header
_LD_BYTE_X, _LD_WORD_X = 0x50, 0x40  # at an offset from the end of the IPv4 header
_LDX_HEADER = 0xB1  # X := four times the low nibble, which is the length of the IPv4 header
_SHIFT, _AND = 0x74, 0x54
_EQUAL, _AT_LEAST = 0x15, 0x35
_RETURN = 0x06

_SIZE: Final = 256
"""Bytes to pass of a packet: enough for the headers that an ICMP error quotes."""
_TCP, _UDP, _UDP_LITE, _ICMP, _ICMP6, _IGMP = 6, 17, 136, 1, 58, 2
# IPv6 extension headers before one of those. A packet with them gets the same answer as one without.
_HOP_BY_HOP, _FRAGMENT, _FOR_TARGET = 0, 44, 60
_RST_ACK: Final = 0x14
_QUOTED: Final = 8
"""Offset of the quoted packet in an ICMP error. An IPv6 error itself comes from ::1."""

_Line: TypeAlias = tuple[int, int] | tuple[int, int, str, str]


def _unless_loopback(at: int) -> tuple[_Line, ...]:
    """Drop a packet whose IPv6 address at this offset is ::1, and keep all others."""
    zeros = (((_LD_WORD, place), (_EQUAL, 0, "", "keep")) for place in (at, at + 4, at + 8))
    one = ((_LD_WORD, at + 12), (_EQUAL, 1, "drop", "keep"))
    return (*itertools.chain.from_iterable(zeros), *one)


# Instructions (operation, operand, label to jump to if true, label if false) and labels. An empty label
# means the next line.
_LINES: Final[tuple[_Line | str, ...]] = (
    (_LD_BYTE, 0), (_SHIFT, 4), (_EQUAL, 6, "v6", ""), (_EQUAL, 4, "", "drop"),
    (_LDX_HEADER, 0),
    (_LD_BYTE, 9), (_EQUAL, _TCP, "tcp4", ""), (_EQUAL, _ICMP, "icmp4", ""),
    (_EQUAL, _UDP, "group4", ""), (_EQUAL, _UDP_LITE, "group4", ""), (_EQUAL, _IGMP, "drop", "to4"),
    "tcp4",
    (_LD_BYTE_X, 13), (_AND, 0x3F), (_EQUAL, _RST_ACK, "", "drop"),
    (_LD_WORD_X, 4), (_EQUAL, 0, "from4", "drop"),
    "icmp4",
    (_LD_BYTE_X, 0), (_EQUAL, 8, "to4", ""), (_EQUAL, 3, "", "drop"),
    (_LD_BYTE_X, 1), (_EQUAL, 3, "", "drop"),
    (_LD_BYTE_X, _QUOTED + 16), (_EQUAL, 127, "drop", "keep"),
    "group4",
    (_LD_BYTE, 16), (_AT_LEAST, 224, "keep", "drop"),
    "from4",
    (_LD_BYTE, 12), (_EQUAL, 127, "drop", "keep"),
    "to4",
    (_LD_BYTE, 16), (_EQUAL, 127, "drop", "keep"),
    "v6",
    (_LD_BYTE, 6), (_EQUAL, _TCP, "tcp6", ""), (_EQUAL, _ICMP6, "icmp6", ""),
    (_EQUAL, _UDP, "group6", ""), (_EQUAL, _UDP_LITE, "group6", ""),
    (_EQUAL, _HOP_BY_HOP, "drop", ""), (_EQUAL, _FRAGMENT, "drop", ""),
    (_EQUAL, _FOR_TARGET, "drop", "to6"),
    "tcp6",
    (_LD_BYTE, 40 + 13), (_AND, 0x3F), (_EQUAL, _RST_ACK, "", "drop"),
    (_LD_WORD, 40 + 4), (_EQUAL, 0, "from6", "drop"),
    "icmp6",
    (_LD_BYTE, 40), (_EQUAL, 128, "to6", ""), (_EQUAL, 1, "", "drop"),
    (_LD_BYTE, 41), (_EQUAL, 4, "", "drop"),
    *_unless_loopback(40 + _QUOTED + 24),
    "group6",
    (_LD_BYTE, 24), (_EQUAL, 0xFF, "keep", "drop"),
    "from6",
    *_unless_loopback(8),
    "to6",
    *_unless_loopback(24),
    "keep",
    (_RETURN, _SIZE),
    "drop",
    (_RETURN, 0),
)  # fmt: skip


def program() -> bytes:
    """Return the filter as an array of `struct sock_filter`."""
    labels: dict[str, int] = {}
    lines: list[tuple[int, int, str, str]] = []
    for line in _LINES:
        if isinstance(line, str):
            labels[line] = len(lines)
        else:
            operation, operand, *targets = line
            equal, other = targets or ("", "")
            lines.append((operation, operand, str(equal), str(other)))
    code = b""
    for at, (operation, operand, equal, other) in enumerate(lines, 1):
        jumps = (labels[target] - at if target else 0 for target in (equal, other))
        code += struct.pack("=HBBI", operation, *jumps, operand)
    return code
