"""Sockets of the namespace that this process is in, for a supervisor outside of it.

A socket keeps the namespace in which it was made, so the supervisor uses it like one of its own.
Sockets that a supervisor has made are kept here too, because they are to outlive it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Answer = tuple[dict[str, Any], list[int]]

_SO_ATTACH_FILTER = 26
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_ETH_P_ALL = 3

_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}

_BACKLOG = 4096
_PACKET_BUFFER = 256 * 1024


class Sockets:
    """The sockets that live from one supervisor to the next, and the commands that ask for them."""

    def __init__(self) -> None:
        self._listening: dict[tuple[str, str, str, int], socket.socket] = {}
        self._packets: socket.socket | None = None
        self._kept: dict[str, int] = {}

    @property
    def commands(self) -> dict[str, Callable[[dict[str, Any], list[int]], Answer]]:
        return {
            "listen": self._listen,
            "packets": self._watch_packets,
            "dial": self._dial,
            "keep": self._keep,
        }

    def _listen(self, message: dict[str, Any], _fds: list[int]) -> Answer:
        """Pass the same socket to each supervisor: between two, connections wait in its backlog."""
        key = (message["family"], message["kind"], message["address"], message["port"])
        if key not in self._listening:
            self._listening[key] = listen(*key)
        return {}, [self._listening[key].fileno()]

    def _watch_packets(self, message: dict[str, Any], _fds: list[int]) -> Answer:
        """Pass the same socket to each supervisor: between two, packets wait in its buffer."""
        if self._packets is None:
            self._packets = watch_packets(bytes.fromhex(message["filter"]))
        return {}, [self._packets.fileno()]

    def _keep(self, message: dict[str, Any], fds: list[int]) -> Answer:
        """Pass the socket of a name to each supervisor; the first one that has made it brings it."""
        name = message["name"]
        if name not in self._kept:
            if not fds:
                raise FileNotFoundError(errno.ENOENT, f"no socket {name} is kept")
            self._kept[name] = os.dup(fds[0])
        return {}, [self._kept[name]]

    def _dial(self, message: dict[str, Any], fds: list[int]) -> Answer:
        fds.append(dial(message["address"], message["port"]).detach())
        return {}, [fds[-1]]


def listen(family: str, kind: str, address: str, port: int) -> socket.socket:
    """Return a socket that is bound in the namespace and, for `kind` "tcp" (not "udp"), listens."""
    sock = socket.socket(_FAMILIES[family], _KINDS[kind])
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == "inet6":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        if kind == "tcp":
            sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def watch_packets(program: bytes) -> socket.socket:
    """Return a socket that receives the loopback's packets that a filter lets through (packet(7)).

    `program` is the filter in classic BPF, an array of `struct sock_filter`.
    """
    filters = ctypes.create_string_buffer(program, len(program))
    attached = struct.pack("HL", len(program) // 8, ctypes.addressof(filters))  # struct sock_fprog
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)
        # Each packet passes the loopback twice, out and in.
        sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PACKET_BUFFER)
        sock.bind(("lo", _ETH_P_ALL))
    except BaseException:
        sock.close()
        raise
    return sock


def dial(address: str, port: int) -> socket.socket:
    """Connect to a TCP server inside the sandbox. The socket may still be connecting."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # On the loopback a handshake ends before connect(2) returns, unless a hostile server's
        # backlog is full: then the caller waits, not the shim.
        sock.setblocking(False)
        result = sock.connect_ex((address, port))
        if result not in (0, errno.EINPROGRESS):
            raise OSError(result, os.strerror(result))
    except BaseException:
        sock.close()
        raise
    return sock
