"""A real witness, litewitness, behind TLS that ends here, as its manual says; see scripts/witness.sh.

What it answers can be replaced by a test, as by a hostile witness or by a network between.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.sshd import keygen

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = tuple[int, bytes]

PROGRAMS: Final = Path(__file__).parent.parent / ".venv" / "witness"
NAME: Final = "witness.example/moat"
_START_S: Final = 60.0


class Witness:
    """Runs from `with` to the end of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        authority = CertificateAuthority.load_or_create(folder)
        self.certificate = folder / "witness.pem"
        """The certificate that clients must trust."""
        self.certificate.write_bytes(authority.certificate_pem)
        self._context = authority.context("localhost", ("http/1.1",))
        self._stack = ExitStack()
        self.requests: list[bytes] = []
        """Bodies that have come here."""
        self.answers: list[int] = []
        """Statuses that were sent."""
        self.instead: Callable[[bytes], Answer | None] = lambda _: None
        """Returns another answer than the witness's for a body; of `None`, the witness's own."""
        self.key = ""
        """The verifier key of the witness."""
        self._backend = _free_port()

    def __enter__(self) -> Self:
        with self._stack:
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        agent = self._folder / "agent"
        key = keygen(self._folder / "key", "-t", "ed25519")
        self._run(["ssh-agent", "-D", "-a", str(agent)], until="SSH_AUTH_SOCK")
        environment = {**os.environ, "SSH_AUTH_SOCK": str(agent)}
        subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True)
        listed = subprocess.run(
            ["ssh-keygen", "-lf", f"{key}.pub"], capture_output=True, text=True, check=True
        )
        said = self._run(
            [
                str(PROGRAMS / "litewitness"),
                *("-db", str(self._folder / "db"), "-name", NAME, "-ssh-agent", str(agent)),
                *("-key", listed.stdout.split()[1], "-listen", f"127.0.0.1:{self._backend}"),
            ],
            until="msg=listening",
        )
        self.key = said.partition("vkey=")[2].split()[0]
        server = _Server(("127.0.0.1", 0), _Handler)
        server.witness = self
        # The handshake belongs to the connection's own thread.
        server.socket = self._context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        self._stack.callback(server.server_close)
        self._stack.callback(thread.join)
        self._stack.callback(server.shutdown)
        self.url = f"https://localhost:{server.server_port}"

    def _run(self, command: list[str], *, until: str) -> str:
        """Start a program; return what it has said until it says that it listens."""
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        assert process.stdout is not None
        self._stack.callback(process.stdout.close)
        said = ""
        while until not in said:
            line = process.stdout.readline()
            assert line, f"{command[0]} has ended: {said}"
            said += line
        drain = threading.Thread(target=process.stdout.read)
        drain.start()
        self._stack.callback(drain.join)
        self._stack.callback(process.terminate)
        return said

    def learn(self, log_list: str) -> None:
        """Have the witness know the logs of a list."""
        path = self._folder / "logs"
        path.write_text(log_list)
        command = [PROGRAMS / "witnessctl", "pull-logs", "-db", self._folder / "db"]
        subprocess.run([*command, "-source", path], check=True)

    def answer(self, body: bytes) -> Answer:
        """Return the answer to a submission."""
        self.requests.append(body)
        answer = self.instead(body)
        if answer is None:
            answer = _asked(self._backend, body)
        self.answers.append(answer[0])
        return answer


class _Server(ThreadingHTTPServer):
    witness: Witness

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that go away."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = self.path == "/add-checkpoint"
        status, content = self.server.witness.answer(body) if known else (404, b"")
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _asked(port: int, body: bytes) -> Answer:
    """Return the answer of litewitness, which says that it listens shortly before it does."""
    end = time.monotonic() + _START_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_S)
        with closing(connection), suppress(ConnectionRefusedError):
            connection.request("POST", "/add-checkpoint", body)
            response = connection.getresponse()
            return response.status, response.read()
        assert time.monotonic() < end, "litewitness doesn't listen"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
