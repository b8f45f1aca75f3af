"""A question to the kernel over netlink (netlink(7)), which answers within the call that asks."""

from __future__ import annotations

import socket
import struct
from typing import Final

# linux/netlink.h
_HEADER: Final = struct.Struct("=IHHII")
_ERROR: Final = 2
_REQUEST: Final = 1
_ANSWER_LIMIT: Final = 8192


def ask(family: int, kind: int, question: bytes) -> bytes | None:
    """Return the body of the kernel's answer to a message of one kind; `None` for a refusal.

    `family` is a netlink family such as `socket.NETLINK_ROUTE`. No packet leaves the machine, and no
    privilege is needed. Raises `OSError` if the kernel can't be asked.
    """
    message = _HEADER.pack(_HEADER.size + len(question), kind, _REQUEST, 1, 0) + question
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, family) as link:
        link.sendto(message, (0, 0))
        answer = link.recv(_ANSWER_LIMIT)
    _, answered, *_ = _HEADER.unpack_from(answer)
    return None if answered == _ERROR else answer[_HEADER.size :]
