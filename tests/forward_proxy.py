"""An HTTP proxy that leads to wherever its clients ask for, or always to one server of this machine.

It serves tunnels (CONNECT) and plain requests. Whoever is in a network namespace without a network
reaches one through it: the listener is made there, the connections here. And a program that knows its
server by name alone, such as an agent the server of its model, meets a stand-in under the real name.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class ForwardProxy:
    """Serves in threads of its own, from `with` to the end of it."""

    def __init__(self, listener: socket.socket, stand_in: int | None = None) -> None:
        """`stand_in`: the port of the one server to which all requests lead."""
        self._listener = listener
        self._stand_in = stand_in
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in (self._listener, *self._open):
            each.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):  # either side is gone
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(4096)
                if not data:
                    return
                head += data
            method, target, _ = head.split(b" ", 2)
            url = urlsplit(b"//" + target if method == b"CONNECT" else target)
            wanted = ((url.hostname or b"").decode(), url.port or 80)
            server = socket.create_connection(
                wanted if self._stand_in is None else ("127.0.0.1", self._stand_in)
            )
            self._open.append(server)
            if method == b"CONNECT":
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                # Servers take the absolute form, too (RFC 9112 3.2.2).
                server.sendall(head)
            self._start(self._relay, server, client)
            self._relay(client, server)

    @staticmethod
    def _relay(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # either side is gone
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
