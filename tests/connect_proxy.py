"""A proxy for tunnels (CONNECT) that leads every host to one server on this machine.

So a program that knows its server by name alone, such as an agent the server of its model, meets a
stand-in under the real name: the run that it is in goes through this proxy (`HTTPS_PROXY`).
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class ConnectProxy:
    """Serves in threads of its own, from `with` to the end of it."""

    def __init__(self, port: int) -> None:
        """`port`: where the server of all hosts listens."""
        self.hosts: list[str] = []
        """`host:port` of all tunnels, in their order."""
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
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
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(4096)
            if not data:
                return
            head += data
        self.hosts.append(head.split()[1].decode())
        server = socket.create_connection(("127.0.0.1", self._port))
        self._open.append(server)
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        self._start(_pump, client, server)
        _pump(server, client)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
