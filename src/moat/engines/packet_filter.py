"""Which packets of the sandbox's loopback speak of something that was refused. Pure.

A classic BPF program (bpf(4), <linux/filter.h>) for a packet socket: the kernel drops all the rest
before it would be queued. Kept are resets that answer a SYN, ICMP's "port unreachable", echo requests,
and whatever is neither TCP nor UDP nor ICMP. What a program does on 127.0.0.0/8 is its own business.
"""

from __future__ import annotations

import struct
from typing import Final

_LD_BYTE, _LD_WORD = 0x30, 0x20  # from the packet's beginning, which is the IP header
_LD_BYTE_X, _LD_WORD_X = 0x50, 0x40  # from behind the IPv4 header
_LDX_HEADER = 0xB1  # X := four times the low nibble: the length of the IPv4 header
_SHIFT, _AND = 0x74, 0x54
_EQUAL = 0x15
_RETURN = 0x06

_WHOLE: Final = 0xFFFF
_TCP, _UDP, _ICMP, _ICMP6, _HOP_BY_HOP = 6, 17, 1, 58, 0
_RST_ACK: Final = 0x14

# (operation, operand, where to go if equal, if not), or a label. No label: the next line.
_LINES: Final = (
    (_LD_BYTE, 0), (_SHIFT, 4), (_EQUAL, 4, "v4", "v6?"),
    "v4",
    (_LDX_HEADER, 0),
    (_LD_BYTE, 9), (_EQUAL, _UDP, "drop", ""), (_EQUAL, _TCP, "tcp4", ""),
    (_EQUAL, _ICMP, "icmp4", "to4"),
    "tcp4",
    (_LD_BYTE_X, 13), (_AND, 0x3F), (_EQUAL, _RST_ACK, "", "drop"),
    (_LD_WORD_X, 4), (_EQUAL, 0, "from4", "drop"),
    "icmp4",
    (_LD_BYTE_X, 0), (_EQUAL, 8, "to4", ""), (_EQUAL, 3, "", "drop"),
    (_LD_BYTE_X, 1), (_EQUAL, 3, "from4", "drop"),
    "from4",
    (_LD_BYTE, 12), (_EQUAL, 127, "drop", "keep"),
    "to4",
    (_LD_BYTE, 16), (_EQUAL, 127, "drop", "keep"),
    "v6?",
    (_EQUAL, 6, "", "drop"),
    (_LD_BYTE, 6), (_EQUAL, _UDP, "drop", ""), (_EQUAL, _HOP_BY_HOP, "drop", ""),
    (_EQUAL, _TCP, "tcp6", ""), (_EQUAL, _ICMP6, "icmp6", "keep"),
    "tcp6",
    (_LD_BYTE, 40 + 13), (_AND, 0x3F), (_EQUAL, _RST_ACK, "", "drop"),
    (_LD_WORD, 40 + 4), (_EQUAL, 0, "keep", "drop"),
    "icmp6",
    (_LD_BYTE, 40), (_EQUAL, 128, "keep", ""), (_EQUAL, 1, "", "drop"),
    (_LD_BYTE, 41), (_EQUAL, 4, "keep", "drop"),
    "keep",
    (_RETURN, _WHOLE),
    "drop",
    (_RETURN, 0),
)  # fmt: skip


def program() -> bytes:
    """`struct sock_filter` by `struct sock_filter`."""
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
