"""A connection that has been accepted, and that no protocol serves yet."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moat.egress.peek import LIMIT, take
from moat.egress.streams import break_off

if TYPE_CHECKING:
    import socket


@dataclass(slots=True)
class NewConnection:
    """A connection from the sandbox, and what is known of it so far."""

    sock: socket.socket
    scheme: str
    host: str
    """The server that it is for; an address until the name behind it is known."""
    port: int
    mismatch: str = ""
    """The name that the TLS handshake has instead of the server's."""


def close_with(sock: socket.socket, answer: bytes) -> None:
    """Close a connection with a last answer, or with a reset where there is none."""
    if not answer:
        break_off(sock)
        return
    with suppress(OSError):  # the client may have left
        take(sock, LIMIT)  # closing with unread bytes would be a reset, and lose the answer
    with suppress(OSError):
        sock.send(answer)
    sock.close()
