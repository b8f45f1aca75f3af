"""Calls of the Docker API, which Podman speaks as well, over a unix socket.

They are few and plain, and clients without an event loop make some of them, so the standard library's
HTTP client carries them. Each wait has a deadline. Whoever makes a call learns one of three things: what
the engine answered, that it refused, or that nobody can tell (`EngineSilentError`); after the last of
them nothing may be assumed about the container.
"""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Final

from moat.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from http.client import HTTPResponse

DEADLINE_S: Final = 10.0
START_DEADLINE_S: Final = 60.0
"""A start reads the image from disk, and a busy machine takes long."""
_MAX_ANSWER: Final = 16 * 1024 * 1024
_PIECE: Final = 64 * 1024


class EngineSilentError(EngineError):
    """The engine can't be reached, or doesn't answer: its containers are in an unknown state."""

    code = "engine_silent"


class CallRefusedError(EngineError):
    """The engine has refused a call."""

    code = "engine_refused"

    def __init__(self, status: int, summary: str) -> None:
        super().__init__(summary, "moat doctor shows what this machine lacks")
        self.status = status


class EngineAPI:
    """An engine behind a unix socket."""

    def __init__(self, path: str, name: str = "the container engine") -> None:
        self.path = path
        self.name = name

    def call(
        self, method: str, path: str, body: object = None, *, deadline: float = DEADLINE_S
    ) -> Any:
        """Return the JSON of the answer, `None` where that is empty.

        Raises `CallRefusedError`, and `EngineSilentError` where no whole answer came in time.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        with self._response(method, path, content, headers, deadline) as response:
            text = response.read(_MAX_ANSWER)
            answer = json.loads(text) if text.strip() else None
        self._check(response.status, answer)
        return answer

    def read(self, path: str, *, deadline: float = DEADLINE_S) -> bytes:
        """Return the bytes of an answer that isn't JSON, a few MB at most. Raises like `call`."""
        with self._response("GET", path, None, {}, deadline) as response:
            content = response.read(_MAX_ANSWER)
            if response.status >= 400:
                self._check(response.status, json.loads(content))
            return content

    def send(self, path: str, archive: bytes, *, patience: float) -> Generator[bytes]:
        """Post a tar archive, and yield the answer as it comes.

        Raises like `call`, `EngineSilentError` where nothing has come for `patience` seconds. The end of
        the iteration, however early, closes the connection, by which an engine learns to stop.
        """
        headers = {"Content-Type": "application/x-tar"}
        with self._response("POST", path, archive, headers, patience) as response:
            if response.status >= 400:
                self._check(response.status, json.loads(response.read(_MAX_ANSWER)))
            while data := response.read1(_PIECE):
                yield data

    @contextmanager
    def _response(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], wait: float
    ) -> Generator[HTTPResponse]:
        """Make a request, and yield the response. Raises `EngineSilentError`."""
        connection = _UnixConnection(self.path, wait)
        try:
            connection.request(method, path, body, headers)
            yield connection.getresponse()
        except TimeoutError as exc:
            raise EngineSilentError(
                f"{self.name} at {self.path} has not answered for {wait:g} s",
                "see what it does (journalctl -u docker), or restart it; runs that have begun go on",
            ) from exc
        except (OSError, HTTPException, ValueError) as exc:
            why = exc.strerror.lower() if isinstance(exc, OSError) and exc.strerror else exc
            raise EngineSilentError(
                f"{self.name} at {self.path} can't be reached: {why}",
                "start it, and see moat doctor; runs that have begun go on",
            ) from exc
        finally:
            connection.close()

    def _check(self, status: int, answer: object) -> None:
        if status >= 400:
            raise CallRefusedError(status, f"{self.name}: {_message(answer)}")


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, deadline: float) -> None:
        super().__init__("localhost", timeout=deadline)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _message(answer: object) -> str:
    match answer:
        case {"message": str(message)}:
            return message.strip()
        case _:
            return "it gave no reason"
