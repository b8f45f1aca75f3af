"""Requests to a run's supervisor, a connection for each."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from moat.client.connect import launch
from moat.client.connect.patience import Patience
from moat.errors import MoatError, SupervisorError
from moat.wire import http

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from moat.paths import RunFolder


# The rest of an answer comes at once behind its first byte.
_READ_S: Final = 10.0
# After so many supervisors in a row that died over a request, the next would do so, too.
MAX_ATTEMPTS: Final = 5


class SupervisorLeftError(SupervisorError):
    """The supervisor died, or left because the run has ended, before it had answered."""


class Upgraded(NamedTuple):
    sock: socket.socket
    level: int
    """See `wire.messages.LEVEL`."""


class SupervisorClient:
    """The API of one run's supervisor (`supervisor.api`).

    Every request finds the supervisor anew, and starts one where there is none. Raises `MoatError`
    with the supervisor's own words where it refuses.
    """

    def __init__(self, home: Path, folder: RunFolder, patience: float | None = None) -> None:
        """`patience`: seconds that it may take to answer anything; `None`: as the user has set."""
        self._home = home
        self._folder = folder
        self._patience = Patience(home, folder, patience)

    def get(
        self, path: str, *, deadline: float | None = None, **query: str | float | None
    ) -> dict[str, Any]:
        """Ask for JSON, and ask the next supervisor where one dies over it.

        What remains until `deadline`, in seconds of the monotonic clock, is sent as `timeout`.
        """
        for attempt in range(1, MAX_ATTEMPTS + 1):
            if deadline is not None:
                query["timeout"] = max(0.0, deadline - time.monotonic())
            try:
                return json.loads(self._request("GET", path, query, None))
            except SupervisorLeftError:
                if attempt == MAX_ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def text(self, path: str, **query: str | float | None) -> str:
        """Ask for an answer that isn't JSON."""
        return self._request("GET", path, query, None).decode()

    def post(self, path: str, **fields: object) -> dict[str, Any]:
        return json.loads(self._request("POST", path, {}, fields))

    def begin(self, path: str, **fields: object) -> None:
        """Post, and don't wait for the answer."""
        with self._connect() as sock, self._lost_as_left():
            sock.sendall(http.encode_request("POST", path, json.dumps(fields).encode()))

    def until_ended(self) -> socket.socket:
        """Return a connection that is readable once the run has ended, or its supervisor has."""
        with _open_on_success(self._connect()) as sock, self._lost_as_left():
            sock.sendall(http.encode_request("GET", "/v1/wait?for=exit"))
        return sock

    def upgrade(self, path: str, protocol: str) -> Upgraded:
        """Return a connection that speaks `protocol` from its next byte on, and at which level."""
        with _open_on_success(self._connect()) as sock:
            with self._lost_as_left():
                sock.sendall(http.encode_request("GET", path, upgrade=protocol))
                self._await_answer(sock)
                response, rest = _read_head(sock)
                answer = b"" if response.status == 101 else _read_body(sock, response, rest)
            if response.status != 101:
                raise _refusal(response.status, answer)
        return Upgraded(sock, response.level)

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | float | None],
        fields: Mapping[str, object] | None,
    ) -> bytes:
        parameters = {name: value for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(parameters)}" if parameters else path
        body = b"" if fields is None else json.dumps(fields).encode()
        with self._connect() as sock, self._lost_as_left():
            sock.sendall(http.encode_request(method, target, body))
            self._await_answer(sock)
            response, rest = _read_head(sock)
            answer = _read_body(sock, response, rest)
        if response.status != 200:
            raise _refusal(response.status, answer)
        return answer

    def _connect(self) -> socket.socket:
        return launch.connect(self._home, self._folder, self._patience)

    def _await_answer(self, sock: socket.socket) -> None:
        """Wait until an answer comes, as long as the supervisor shows that it lives.

        What it was asked for may take long. Raise `SupervisorStuckError` where it answers nothing.
        """
        while not self._patience.readable(sock):
            with launch.connect(self._home, self._folder, self._patience) as other:
                other.sendall(http.encode_request("GET", "/v1/version"))
                if not self._patience.readable(other):
                    raise self._patience.stuck()
        sock.settimeout(_READ_S)

    @contextmanager
    def _lost_as_left(self) -> Generator[None]:
        """Raise `SupervisorLeftError` for a connection that broke, and another for one that is full."""
        try:
            yield
        except (BrokenPipeError, ConnectionResetError) as exc:
            raise _left() from exc
        except (BlockingIOError, TimeoutError):
            raise self._patience.stuck() from None


@contextmanager
def _open_on_success(sock: socket.socket) -> Generator[socket.socket]:
    """Close the socket where the block fails, and only there."""
    try:
        yield sock
    except BaseException:
        sock.close()
        raise


def _read_head(sock: socket.socket) -> tuple[http.Response, bytes]:
    """Return the head of the response, and what came of the body with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise _left()
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return http.decode_response(head), rest


def _read_body(sock: socket.socket, response: http.Response, body: bytes) -> bytes:
    """Return the whole body, of which `body` has come."""
    while len(body) < response.content_length:
        piece = sock.recv(1 << 20)
        if not piece:
            raise _left()
        body += piece
    return body


def _left() -> SupervisorLeftError:
    return SupervisorLeftError("the run's supervisor went away while answering", "Try again")


def _refusal(status: int, body: bytes) -> MoatError:
    try:
        failure = json.loads(body)
        error = MoatError(failure["summary"], failure.get("hint"))
        error.code = failure.get("code", error.code)
    except (ValueError, KeyError, TypeError):
        return SupervisorError(f"the run's supervisor answered {status}: {body[:200]!r}")
    return error
