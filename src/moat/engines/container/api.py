"""Calls of the Docker API, which Podman speaks as well, over a unix socket.

They are few and plain, and clients without an event loop make some of them, so the standard library's
HTTP client carries them. Each wait has a deadline. Whoever makes a call learns one of three things: what
the engine answered, that it refused, or that nobody can tell (`EngineSilentError`); after the last of
them nothing may be assumed about the container.
"""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from moat.errors import EngineError

DEADLINE_S: Final = 10.0
START_DEADLINE_S: Final = 60.0
"""A start reads the image from disk, and a busy machine takes long."""
_MAX_ANSWER: Final = 16 * 1024 * 1024


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
        self._name = name

    def call(
        self, method: str, path: str, body: object = None, *, deadline: float = DEADLINE_S
    ) -> Any:
        """Return the JSON of the answer, `None` where that is empty.

        Raises `CallRefusedError`, and `EngineSilentError` where no whole answer came in time.
        """
        connection = _UnixConnection(self.path, deadline)
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            text = response.read(_MAX_ANSWER)
            answer = json.loads(text) if text.strip() else None
        except TimeoutError as exc:
            raise EngineSilentError(
                f"{self._name} at {self.path} has not answered for {deadline:g} s",
                "see what it does (journalctl -u docker), or restart it; runs that have begun go on",
            ) from exc
        except (OSError, HTTPException, ValueError) as exc:
            raise EngineSilentError(
                f"{self._name} at {self.path} can't be reached: {exc}",
                "start it, and see moat doctor; runs that have begun go on",
            ) from exc
        finally:
            connection.close()
        if response.status >= 400:
            raise CallRefusedError(response.status, f"{self._name}: {_message(answer)}")
        return answer


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
