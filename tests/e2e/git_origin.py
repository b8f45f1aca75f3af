"""A git server for tests: what `git http-backend` says, by HTTPS, in a thread.

Clients send the body of a push in chunks, and compressed; the backend gets both as they came.
"""

from __future__ import annotations

import os
import subprocess
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


class GitOrigin:
    """Serves the repositories in a folder, from `with` to the end of it."""

    def __init__(self, folder: Path, context: ssl.SSLContext, authorization: str = "") -> None:
        """`authorization`: the value of that field which requests must have, if any."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.folder, self._server.authorization = folder, authorization
        # The handshake belongs to the connection's own thread.
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = Thread(target=self._server.serve_forever)
        self.port = self._server.server_port

    @property
    def refused(self) -> int:
        """The number of requests that didn't have the right authorization."""
        return self._server.refused

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    folder: Path
    authorization: str
    refused = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self._body())

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _serve(self, body: bytes) -> None:
        wanted = self.server.authorization
        if wanted and self.headers["Authorization"] != wanted:
            self.server.refused += 1
            self._answer(b'Status: 401\r\nWWW-Authenticate: Basic realm="git"\r\n\r\n')
            return
        path, _, query = self.path.partition("?")
        request = {
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
            "REMOTE_USER": "agent",
            "REMOTE_ADDR": "127.0.0.1",
        }
        backend = ["git", "-c", "http.receivepack=true", "http-backend"]
        done = subprocess.run(
            backend, input=body, env=os.environ | request, stdout=subprocess.PIPE, check=True
        )
        self._answer(done.stdout)

    def _answer(self, answer: bytes) -> None:
        """RFC 3875 6.3: a status is a field among others, and 200 where there is none."""
        head, _, body = answer.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(HTTPStatus(int(fields.pop("Status", "200").split()[0])))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Say nothing."""
