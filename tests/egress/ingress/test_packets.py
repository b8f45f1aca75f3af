"""Packets of refused attempts, and packets that are none."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.ingress.packets import BlockedAttempt, blocked_attempt


def _v4(protocol: int, source: str, target: str, content: bytes, options: bytes = b"") -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 0, 0, 0, 64, protocol, 0)
    return head + ip_address(source).packed + ip_address(target).packed + options + content


def _v6(protocol: int, source: str, target: str, content: bytes) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(content), protocol, 64)
    return head + ip_address(source).packed + ip_address(target).packed + content


RESET = struct.pack("!HHII", 22, 40000, 0, 1) + bytes((0x50, 0x14)) + bytes(6)
SYN = struct.pack("!HHII", 40000, 22, 7, 0) + bytes((0x50, 0x02)) + bytes(6)
DATAGRAM = struct.pack("!HHHH", 40000, 443, 8, 0)
UNREACHABLE, UNREACHABLE6 = b"\x03\x03" + bytes(6), b"\x01\x04" + bytes(6)
FOR_TARGET = b"\x11\x00" + bytes(6)
"""Options of an IPv6 packet, before UDP."""


@pytest.mark.parametrize(
    ("packet", "found"),
    [
        (_v4(6, "8.8.8.8", "8.8.8.8", RESET), BlockedAttempt("tcp", "8.8.8.8", 22)),
        (_v4(6, "8.8.8.8", "8.8.8.8", RESET, bytes(8)), BlockedAttempt("tcp", "8.8.8.8", 22)),
        (_v6(6, "2001:db8::1", "::1", RESET), BlockedAttempt("tcp", "2001:db8::1", 22)),
        (
            _v4(1, "1.1.1.1", "1.1.1.1", UNREACHABLE + _v4(17, "1.1.1.1", "1.1.1.1", DATAGRAM)),
            BlockedAttempt("udp", "1.1.1.1", 443),
        ),
        (
            _v4(1, "1.1.1.1", "1.1.1.1", UNREACHABLE + _v4(136, "1.1.1.1", "1.1.1.1", DATAGRAM)),
            BlockedAttempt("udplite", "1.1.1.1", 443),
        ),
        (
            _v6(58, "::1", "::1", UNREACHABLE6 + _v6(17, "::1", "2001:db8::1", DATAGRAM)),
            BlockedAttempt("udp", "2001:db8::1", 443),
        ),
        (
            _v6(58, "::1", "::1",
                UNREACHABLE6 + _v6(60, "::1", "2001:db8::1", FOR_TARGET + DATAGRAM)),
            BlockedAttempt("udp", "2001:db8::1", 443),
        ),
        (_v4(17, "127.0.0.1", "224.0.0.251", DATAGRAM), BlockedAttempt("udp", "224.0.0.251", 443)),
        (_v4(1, "127.0.0.1", "9.9.9.9", b"\x08\x00" + bytes(6)), BlockedAttempt("icmp", "9.9.9.9", 0)),
        (
            _v6(58, "::1", "2001:db8::1", b"\x80\x00" + bytes(6)),
            BlockedAttempt("icmp", "2001:db8::1", 0),
        ),
        (_v4(132, "127.0.0.1", "9.9.9.9", DATAGRAM), BlockedAttempt("sctp", "9.9.9.9", 443)),
        (_v4(47, "127.0.0.1", "9.9.9.9", b""), BlockedAttempt("ip protocol 47", "9.9.9.9", 0)),
        (
            _v6(43, "::1", "2001:db8::1", b"\x06\x02" + bytes(22) + SYN),
            BlockedAttempt("tcp", "2001:db8::1", 22),
        ),
        (_v4(1, "1.1.1.1", "127.0.0.1", b"\x03\x03"), None),
        (b"", None),
    ],
)  # fmt: skip
def test_where_an_attempt_was_to_go(packet: bytes, found: BlockedAttempt | None) -> None:
    """A reset names it as its sender, an ICMP error quotes it, and other packets are sent to it."""
    assert blocked_attempt(packet) == found


def test_an_answer_of_ours_that_came_too_late_is_no_attempt() -> None:
    """A program that asks two servers stops listening after the first answer."""
    answer = struct.pack("!HHHH", 53, 40000, 8, 0)
    late = _v4(17, "8.8.8.8", "8.8.8.8", answer)

    assert blocked_attempt(_v4(1, "8.8.8.8", "8.8.8.8", UNREACHABLE + late)) is None


@given(packet=st.binary(max_size=80))
def test_any_bytes_are_read(packet: bytes) -> None:
    """A hostile program can send any packet."""
    blocked_attempt(packet)
