"""Runs in a sandbox: opens, sends and never reads, as much as it can; says so, and holds on.

    python3 flood.py KIND HOST PORT COUNT

When it has done what it can it creates the file `flooded`, with how far it came, and waits for the end
of its standard input.
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import struct
import sys
from pathlib import Path

STALLED_S = 1.5
"""Who takes nothing for so long has stopped reading."""
ENOUGH = 300 * 1024 * 1024
"""Bytes: what a proxy kept of so much would be seen in its memory."""


def idle(address, count):
    """Connections that say nothing."""
    return [socket.create_connection(address, 60.0) for _ in range(count)]


def questions(address, count):
    """Connections for DNS that have asked once, so that somebody serves them."""
    message = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\x01x\0" + struct.pack("!HH", 1, 1)
    sockets = idle(address, count)
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.sendall(len(message).to_bytes(2, "big") + message)
    return sockets


def unread(address, count, path):
    """Requests without end on a few connections, of which no answer is read."""
    request = f"GET {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n\r\n".encode() * 500
    sockets = idle(address, count)
    for sock in sockets:
        sock.setblocking(False)
    _push(sockets, request)
    return sockets


def asking(address, count):
    """DNS questions over TCP without end, of which no answer is read."""
    name = b"\x3f" + b"a" * 63
    message = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + name + b"\0" + struct.pack("!HH", 1, 1)
    sockets = idle(address, count)
    for sock in sockets:
        sock.setblocking(False)
    _push(sockets, (len(message).to_bytes(2, "big") + message) * 500)
    return sockets


def bodies(address, count, path):
    """Requests whose bodies are sent as far as anybody takes them."""
    host, port = address
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 999999999\r\n\r\n"
    sockets = idle(address, count)
    for sock in sockets:
        sock.sendall(head.encode())
        sock.setblocking(False)
    _push(sockets, bytes(65536))
    return sockets


def _push(sockets, data):
    rest = dict.fromkeys(sockets, data)
    sent = 0
    while sent < ENOUGH:
        _, writable, _ = select.select([], list(rest), [], STALLED_S)
        if not writable:
            return
        for sock in writable:
            try:
                done = sock.send(rest[sock])
            except BlockingIOError:
                continue
            except OSError:
                del rest[sock]
                continue
            sent += done
            rest[sock] = rest[sock][done:] or data


KINDS = {
    "idle": idle,
    "questions": questions,
    "denied": lambda address, count: unread(address, count, "/secret"),
    "allowed": lambda address, count: unread(address, count, "/bytes/2000"),
    "asking": asking,
    "unread": lambda address, count: bodies(address, count, "/deaf"),
    "unwanted": lambda address, count: bodies(address, count, "/wait"),  # which leaves at once
}


def main(kind, host, port, count):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = KINDS[kind]((host, int(port)), int(count))
    Path("flooded").write_text(str(len(held)))
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
