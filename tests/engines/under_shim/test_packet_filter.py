"""The packet filter, run by the kernel on packets made here."""

from __future__ import annotations

import ctypes
import socket
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.engines.under_shim import packet_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SO_ATTACH_FILTER = 26
RST_ACK, SYN, SYN_ACK, RST, FIN_ACK = 0x14, 0x02, 0x12, 0x04, 0x11
TCP, UDP, ICMP, ICMP6, IGMP, SCTP = 6, 17, 1, 58, 2, 132
OUT, OWN = "192.0.2.7", "127.0.0.1"
OUT6, OWN6 = "2001:db8::7", "::1"


@pytest.fixture(scope="module")
def passes() -> Iterator[Callable[[bytes], int]]:
    """A function that returns how many bytes of a packet pass; 0 if it is dropped.

    A unix socket runs the same filters as a packet socket, and needs no privilege.
    """
    program = packet_filter.program()
    memory = ctypes.create_string_buffer(program, len(program))
    ours, filtered = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, filtered:
        attached = struct.pack("HL", len(program) // 8, ctypes.addressof(memory))
        filtered.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, attached)
        filtered.setblocking(False)

        def send(packet: bytes) -> int:
            ours.send(packet)
            try:
                return len(filtered.recv(65536))
            except BlockingIOError:
                return 0

        yield send


def _packet(
    protocol: int, source: str, target: str, content: bytes = bytes(8), options: bytes = b""
) -> bytes:
    addresses = ip_address(source).packed + ip_address(target).packed
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(content), protocol, 64) + addresses + content
    start = bytes((0x45 + len(options) // 4,))
    return start + bytes(8) + bytes((protocol, 0, 0)) + addresses + options + content


def _tcp(flags: int, sequence: int = 0) -> bytes:
    return struct.pack("!HHII", 22, 40000, sequence, 1) + bytes((0x50, flags)) + bytes(6)


def _quoting(kind: bytes, target: str) -> bytes:
    return kind + bytes(6) + _packet(UDP, OWN6 if ":" in target else OWN, target)


KEPT = {
    "reset": _packet(TCP, OUT, OUT, _tcp(RST_ACK)),
    "reset behind options": _packet(TCP, OUT, OUT, _tcp(RST_ACK), bytes(40)),
    "reset of ECN": _packet(TCP, OUT, OUT, _tcp(RST_ACK | 0x40)),
    "reset, IPv6": _packet(TCP, OUT6, OWN6, _tcp(RST_ACK)),
    "reset, almost loopback": _packet(TCP, "1::1", OWN6, _tcp(RST_ACK)),
    "reset, almost loopback 2": _packet(TCP, "::1:0:0:1", OWN6, _tcp(RST_ACK)),
    "reset, almost loopback 3": _packet(TCP, "::2", OWN6, _tcp(RST_ACK)),
    "port unreachable": _packet(ICMP, OUT, OUT, _quoting(b"\x03\x03", OUT)),
    "port unreachable behind options": _packet(
        ICMP, OUT, OUT, _quoting(b"\x03\x03", OUT), bytes(20)
    ),
    "port unreachable, IPv6": _packet(ICMP6, OWN6, OWN6, _quoting(b"\x01\x04", OUT6)),
    "echo": _packet(ICMP, OWN, OUT, b"\x08\x00" + bytes(6)),
    "echo, IPv6": _packet(ICMP6, OWN6, OUT6, b"\x80\x00" + bytes(6)),
    "SCTP": _packet(SCTP, OWN, OUT),
    "SCTP, IPv6": _packet(SCTP, OWN6, OUT6),
    "routing header": _packet(43, OWN6, OUT6),
    "to a group": _packet(UDP, OUT, "224.0.0.251"),
    "to everybody": _packet(UDP, OUT, "255.255.255.255"),
    "to a group, IPv6": _packet(UDP, OWN6, "ff02::fb"),
    "UDP-Lite to a group": _packet(136, OUT, "224.0.0.251"),
}
DROPPED = {
    "nothing": b"\x00",
    "another version": b"\x50" + bytes(60),
    "half a header": _packet(SCTP, OWN, OUT)[:9],
    "SYN": _packet(TCP, OUT, OUT, _tcp(SYN)),
    "SYN ACK": _packet(TCP, OUT, OUT, _tcp(SYN_ACK)),
    "end": _packet(TCP, OUT, OUT, _tcp(FIN_ACK, 5)),
    "reset of a connection": _packet(TCP, OUT, OUT, _tcp(RST_ACK, 5)),
    "reset of what never was": _packet(TCP, OUT, OUT, _tcp(RST, 5)),
    "reset, own": _packet(TCP, OWN, OWN, _tcp(RST_ACK)),
    "reset, own 127.9.9.9": _packet(TCP, "127.9.9.9", OWN, _tcp(RST_ACK)),
    "reset, own, IPv6": _packet(TCP, OWN6, OWN6, _tcp(RST_ACK)),
    "SYN, IPv6": _packet(TCP, OUT6, OUT6, _tcp(SYN)),
    "reset of a connection, IPv6": _packet(TCP, OUT6, OUT6, _tcp(RST_ACK, 5)),
    "datagram": _packet(UDP, OUT, OUT),
    "datagram, IPv6": _packet(UDP, OUT6, OUT6),
    "port unreachable, own": _packet(ICMP, OWN, OWN, _quoting(b"\x03\x03", OWN)),
    "port unreachable, own, IPv6": _packet(ICMP6, OWN6, OWN6, _quoting(b"\x01\x04", OWN6)),
    "another unreachable": _packet(ICMP, OUT, OUT, _quoting(b"\x03\x02", OUT)),
    "another unreachable, IPv6": _packet(ICMP6, OWN6, OWN6, _quoting(b"\x01\x03", OUT6)),
    "echo, own": _packet(ICMP, OWN, OWN, b"\x08\x00" + bytes(6)),
    "echo, own, IPv6": _packet(ICMP6, OWN6, OWN6, b"\x80\x00" + bytes(6)),
    "answer to an echo": _packet(ICMP, OUT, OUT, bytes(8)),
    "answer to an echo, IPv6": _packet(ICMP6, OUT6, OWN6, b"\x81\x00" + bytes(6)),
    "neighbours": _packet(ICMP6, OWN6, "ff02::1", b"\x87\x00" + bytes(6)),
    "joining a group": _packet(IGMP, OUT, "224.0.0.22"),
    "joining a group, IPv6": _packet(0, OUT6, "ff02::16"),
    "fragment, IPv6": _packet(44, OUT6, OUT6),
    "options for the target": _packet(60, OUT6, OUT6),
    "SCTP, own": _packet(SCTP, OWN, OWN),
    "SCTP, own, IPv6": _packet(SCTP, OWN6, OWN6),
}


@pytest.mark.parametrize("packet", KEPT.values(), ids=KEPT)
def test_a_packet_that_shows_a_refusal_passes(
    passes: Callable[[bytes], int], packet: bytes
) -> None:
    """It passes as a whole if it is short."""
    assert passes(packet) == len(packet)


@pytest.mark.parametrize("packet", DROPPED.values(), ids=DROPPED)
def test_all_other_packets_are_dropped(passes: Callable[[bytes], int], packet: bytes) -> None:
    """Accepted connections, their packets, and programs that use their own loopback are dropped."""
    assert passes(packet) == 0


def test_no_more_of_a_packet_than_its_headers_passes(passes: Callable[[bytes], int]) -> None:
    """A program chooses the length of its packets, and our queue is short."""
    assert passes(_packet(SCTP, OWN, OUT, bytes(60_000))) == 256


@given(
    flags=st.integers(0, 255), sequence=st.integers(0, 2**32 - 1), last=st.integers(0, 2**128 - 1)
)
def test_only_an_answer_to_a_syn_is_a_refusal(
    passes: Callable[[bytes], int], flags: int, sequence: int, last: int
) -> None:
    """RFC 9293 3.10.7.1: such a reset has the sequence number 0 and acknowledges."""
    source = str(ip_address(last.to_bytes(16, "big")))
    kept = passes(_packet(TCP, source, OWN6, _tcp(flags, sequence))) > 0

    assert kept == (flags & 0x3F == RST_ACK and sequence == 0 and last != 1)
