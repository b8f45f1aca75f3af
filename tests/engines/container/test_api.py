"""What callers learn from an engine that answers, refuses, or says nothing.

The engine is a fake: the real ones, in the end-to-end tests, refuse a removal only within a few
milliseconds, and don't hang when asked to.
"""

from __future__ import annotations

import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from moat.engines.container import container
from moat.engines.container.api import CallRefusedError, EngineAPI, EngineSilentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REFUSED = (500, b'{"message": "container state improper: stopped"}')
MISSING = (404, b'{"message": "no such container"}')
DONE = (204, b"")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[..., tuple[EngineAPI, list[str]]]]:
    """`engine(*answers)`: an engine that gives these, one for each call, and the list of the calls."""
    servers: list[socketserver.BaseServer] = []

    def start(*answers: tuple[int, bytes]) -> tuple[EngineAPI, list[str]]:
        calls: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                calls.append(f"{self.command} {self.path}")
                status, body = answers[len(calls) - 1]
                self.wfile.write(
                    b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
                )

            do_GET = do_POST = do_DELETE = answer  # noqa: N815  the base class's names

            def log_message(self, *_: Any) -> None:
                """Nothing is logged."""

        path = str(tmp_path / "s")
        server = socketserver.UnixStreamServer(path, Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return EngineAPI(path, "podman"), calls

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


DELETE = "DELETE /containers/x?force=true&v=true"
WAIT = "POST /containers/x/wait?condition=not-running"


@pytest.mark.parametrize(
    ("answers", "calls"),
    [
        ([DONE], [DELETE]),
        ([MISSING], [DELETE]),
        ([REFUSED, (200, b'{"StatusCode": 137}'), DONE], [DELETE, WAIT, DELETE]),
        ([REFUSED, (200, b'{"StatusCode": 137}'), MISSING], [DELETE, WAIT, DELETE]),
        ([REFUSED, MISSING], [DELETE, WAIT]),
    ],
)
def test_a_container_that_ends_while_it_is_removed(
    engine: Callable[..., tuple[EngineAPI, list[str]]],
    answers: list[tuple[int, bytes]],
    calls: list[str],
) -> None:
    """It is removed once it has ended."""
    api, made = engine(*answers)
    container.remove(api, "x")
    assert made == calls


def test_a_container_that_can_not_be_removed(
    engine: Callable[..., tuple[EngineAPI, list[str]]],
) -> None:
    """The engine's reason is told."""
    api, _ = engine(REFUSED, (200, b"{}"), REFUSED)
    with pytest.raises(CallRefusedError, match="podman: container state improper"):
        container.remove(api, "x")


@pytest.mark.parametrize("body", [b"<html>", b'{"a": '])
def test_an_answer_that_is_not_json(
    engine: Callable[..., tuple[EngineAPI, list[str]]], body: bytes
) -> None:
    """Nobody can tell what it means."""
    api, _ = engine((200, body))
    with pytest.raises(EngineSilentError, match="can't be reached"):
        api.call("GET", "/info")


def test_an_engine_that_is_away(tmp_path: Path) -> None:
    """The path of its socket is named."""
    with pytest.raises(EngineSilentError, match="none can't be reached: no such file or"):
        EngineAPI(str(tmp_path / "none")).call("GET", "/info")


def test_an_engine_that_hangs(tmp_path: Path) -> None:
    """Each call has a deadline."""
    server = socketserver.UnixStreamServer(str(tmp_path / "s"), BaseHTTPRequestHandler)
    with server, pytest.raises(EngineSilentError, match=r"not answered for 0\.1 s"):
        EngineAPI(str(tmp_path / "s")).call("GET", "/info", deadline=0.1)


def test_a_refusal_without_a_reason(
    engine: Callable[..., tuple[EngineAPI, list[str]]],
) -> None:
    """Its status is kept."""
    api, _ = engine((409, b"[]"))
    with pytest.raises(CallRefusedError, match="it gave no reason") as caught:
        api.call("GET", "/info")
    assert caught.value.status == 409
