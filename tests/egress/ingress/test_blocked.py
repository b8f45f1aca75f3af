"""Attempts that the kernel refused, as a packet socket shows them: each target once in a while."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import closing
from ipaddress import ip_address

from moat.egress.ingress.blocked import BlockedAttempts
from moat.egress.ingress.packets import BlockedAttempt

ICMP = 1


def _ping(target: str) -> bytes:
    """An echo request to an address, from its IP header."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, ICMP, 0)
    return (
        head + ip_address("127.0.0.1").packed + ip_address(target).packed + b"\x08\x00" + bytes(6)
    )


async def test_a_target_is_reported_once_however_often_it_is_tried() -> None:
    """Other packets are ignored. A datagram socket stands in for the packet socket."""
    loop = asyncio.get_running_loop()
    reported: list[BlockedAttempt] = []
    last = asyncio.Event()

    def report(attempt: BlockedAttempt) -> None:
        reported.append(attempt)
        if attempt.address == "192.0.2.9":
            last.set()

    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with theirs, closing(BlockedAttempts(ours.detach(), loop, report)):
        for packet in (_ping("192.0.2.7"), b"", _ping("192.0.2.7"), _ping("192.0.2.9")):
            theirs.send(packet)
        await last.wait()

    assert reported == [
        BlockedAttempt("icmp", address, 0) for address in ("192.0.2.7", "192.0.2.9")
    ]
