"""Asking a run's supervisor, one request a connection."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from moat.client.connect import launch
from moat.errors import MoatError, SupervisorError
from moat.wire import http

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from pathlib import Path

    from moat.paths import RunFolder


# A supervisor that dies over an answer so often in a row will do so the next time.
MAX_ATTEMPTS: Final = 5


class SupervisorLeftError(SupervisorError):
    """It died, or the run ended and it left, before it had answered."""


class Supervised:
    """The API of one run's supervisor. Every call finds, or starts, the supervisor anew."""

    def __init__(self, home: Path, folder: RunFolder) -> None:
        self._home = home
        self._folder = folder

    def get(
        self, path: str, *, deadline: float | None = None, **query: str | float | None
    ) -> dict[str, Any]:
        """Asks the next supervisor where one dies over it.

        `deadline` (of the monotonic clock) goes along as the `timeout` that is left. Raises
        `MoatError` with the supervisor's own words where it refuses.
        """
        for attempt in range(1, MAX_ATTEMPTS + 1):
            if deadline is not None:
                query["timeout"] = max(0.0, deadline - time.monotonic())
            try:
                return json.loads(self._ask("GET", path, query, None))
            except SupervisorLeftError:
                if attempt == MAX_ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def post(self, path: str, **fields: object) -> dict[str, Any]:
        return json.loads(self._ask("POST", path, {}, fields))

    def text(self, path: str, **query: str | float | None) -> str:
        """For answers that are no JSON."""
        return self._ask("GET", path, query, None).decode()

    def begin(self, path: str, **fields: object) -> None:
        """Asks, and does not wait for the answer."""
        with launch.connect(self._home, self._folder) as sock:
            try:
                sock.sendall(http.encode_request("POST", path, json.dumps(fields).encode()))
            except (BrokenPipeError, ConnectionResetError) as exc:
                raise _hung_up() from exc

    def until_ended(self) -> socket.socket:
        """A connection that becomes readable when the run has ended, or its supervisor has."""
        sock = launch.connect(self._home, self._folder)
        try:
            sock.sendall(http.encode_request("GET", "/v1/wait?for=exit"))
        except (BrokenPipeError, ConnectionResetError) as exc:
            sock.close()
            raise _hung_up() from exc
        return sock

    def upgrade(self, path: str, protocol: str) -> socket.socket:
        """A connection that speaks `protocol` from its next byte on."""
        sock = launch.connect(self._home, self._folder)
        try:
            try:
                sock.sendall(http.encode_request("GET", path, upgrade=protocol))
                response, rest = _read_head(sock)
                answer = b"" if response.status == 101 else _read_body(sock, response, rest)
            except (BrokenPipeError, ConnectionResetError) as exc:
                raise _hung_up() from exc
            if response.status != 101:
                raise _refused(response.status, answer)
        except BaseException:
            sock.close()
            raise
        return sock

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | float | None],
        fields: Mapping[str, object] | None,
    ) -> bytes:
        given = {name: value for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        body = b"" if fields is None else json.dumps(fields).encode()
        with launch.connect(self._home, self._folder) as sock:
            try:
                sock.sendall(http.encode_request(method, target, body))
                response, rest = _read_head(sock)
                answer = _read_body(sock, response, rest)
            except (BrokenPipeError, ConnectionResetError) as exc:
                raise _hung_up() from exc
        if response.status != 200:
            raise _refused(response.status, answer)
        return answer


def _read_head(sock: socket.socket) -> tuple[http.Response, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise _hung_up()
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return http.decode_response(head), rest


def _read_body(sock: socket.socket, response: http.Response, rest: bytes) -> bytes:
    while len(rest) < response.content_length:
        piece = sock.recv(1 << 20)
        if not piece:
            raise _hung_up()
        rest += piece
    return rest


def _hung_up() -> SupervisorLeftError:
    return SupervisorLeftError("the run's supervisor went away while answering", "Try again")


def _refused(status: int, body: bytes) -> MoatError:
    try:
        failure = json.loads(body)
        error = MoatError(failure["summary"], failure.get("hint"))
        error.code = failure.get("code", error.code)
    except (ValueError, KeyError, TypeError):
        return SupervisorError(f"the run's supervisor answered {status}: {body[:200]!r}")
    return error
