"""`moat web` as a process of a test's own, and clients of it that are no browsers."""

from __future__ import annotations

import json
import select
import signal
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from tests.e2e.conftest import TIMEOUT_S
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Moat
    from websockets.sync.client import ClientConnection


class WebPage:
    """A server, from the line that it prints until it is told to end. A context manager."""

    def __init__(self, moat: Moat, *options: str, **popen: Any) -> None:
        """`options` may say `--open`, too."""
        self._process = moat.start("web", "--no-open", *options, **popen)
        assert self._process.stdout is not None
        assert select.select([self._process.stdout], [], [], TIMEOUT_S)[0]
        self.url = self._process.stdout.readline().decode().strip()
        if not self.url:
            assert self._process.stderr is not None
            raise AssertionError(self._process.stderr.read().decode())
        address = urlsplit(self.url)
        self.origin = f"{address.scheme}://{address.netloc}"
        self.host = address.netloc
        self.port = address.port or 0
        self.token = address.fragment
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            code, said = self.end(signal.SIGTERM)
            assert code == 0
            assert b"Traceback" not in said

    def end(self, number: int) -> tuple[int, bytes]:
        """End it by a signal: the exit code, and what it has said."""
        self._process.send_signal(number)
        _, said = self._process.communicate(timeout=TIMEOUT_S)
        return self._process.returncode, said

    def ask(self, head: str, *, address: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
        """Status, fields and content of the answer to a request that is sent as it is."""
        with socket.create_connection((address, self.port), TIMEOUT_S) as sock:
            sock.sendall(head.replace("\n", "\r\n").encode())
            answer = b""
            with suppress(ConnectionResetError):
                while piece := sock.recv(65536):
                    answer += piece
        head_, _, content = answer.partition(b"\r\n\r\n")
        first, *lines = head_.decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        status = int(first.split()[1]) if first else 0
        return status, {name.lower(): value for name, value in fields.items()}, content

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        return self.ask(f"GET {path} HTTP/1.1\nHost: {self.host}\n\n")

    @contextmanager
    def socket(self, path: str, **options: Any) -> Iterator[ClientConnection]:
        """A WebSocket on which nothing was sent yet."""
        sock = socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S)
        settings = {"origin": self.origin, "proxy": None, "max_size": None} | options
        with connect(f"ws://{self.host}{path}", sock=sock, **settings) as connection:
            yield connection

    @contextmanager
    def viewer(self, run: str, **wanted: Any) -> Iterator[Viewer]:
        with self.socket("/terminal") as connection:
            size = {"columns": 80, "rows": 24}
            say(connection, "opening", secret=self.token)
            say(connection, "open_terminal", run=run, **(size | wanted))
            yield Viewer(connection)


def say(connection: ClientConnection, kind: str, **fields: Any) -> None:
    connection.send(json.dumps({"type": kind} | fields))


class Viewer:
    """One terminal of a page, without a browser."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.output = b""
        self.heard: list[dict[str, Any]] = []
        assert self.next_message("welcome")

    def receive(self, *, draws: bool = True) -> None:
        """Takes what comes next, and says that it is drawn."""
        data = self.connection.recv(timeout=TIMEOUT_S)
        if isinstance(data, str):
            self.heard.append(json.loads(data))
            return
        self.output += data
        if draws:
            say(self.connection, "drawn", bytes=len(data))

    def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.receive()

    def shows(self, text: bytes) -> None:
        self.until(lambda: text in self.output)

    def next_message(self, kind: str) -> dict[str, Any]:
        """The next message of a kind, behind those that were looked at."""
        self.until(lambda: any(each["type"] == kind for each in self.heard))
        while self.heard:
            message = self.heard.pop(0)
            if message["type"] == kind:
                return message
        raise AssertionError(kind)
