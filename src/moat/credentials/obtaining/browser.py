"""The authorization code flow: the user agrees in a browser, which comes back to a loopback port.

A user whose browser runs on another machine pastes the address on which it ends.
"""

from __future__ import annotations

import os
import select
import sys
import time
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import TYPE_CHECKING, Final

from moat.credentials.obtaining import http
from moat.credentials.obtaining.obtained import Obtained
from moat.credentials.obtaining.redirect import Flow, StrayRequestError
from moat.credentials.obtaining.tokens import AuthorizationError, encoded, tokens_in
from moat.errors import UsageError
from moat.ground.browser import open_on_desktop

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.providers.recipe import OAuth

_TIMEOUT_S: Final = 600.0


def authorize(
    client: OAuth, tell: Callable[[str], None], *, way: http.Way = http.OF_ENVIRONMENT
) -> Obtained:
    """Have the user agree on the page that `tell` names. Raises `AuthorizationError`."""
    with _Server(client) as server:
        flow = Flow(client, server.redirect_uri)
        server.flow = flow
        tell(flow.url)
        open_on_desktop(flow.url)
        code = server.wait()
    headers, body = encoded(client, flow.exchange(code))
    answer = http.request("POST", client.token_url, headers, body, way=way).json()
    tokens = tokens_in(answer, time.time())
    return Obtained(
        fields=tokens.fields,
        source="browser",
        origin="the browser",
        attributes={"scopes": tokens.scopes} if tokens.scopes else {},
        expires_at=tokens.expires_at,
    )


class _Server(TCPServer):
    """Waits for the redirect on loopback. Any program of this machine may come: see `Flow.code_in`."""

    # `HTTPServer` would ask DNS for the name of 127.0.0.1.
    allow_reuse_address = True
    flow: Flow

    def __init__(self, client: OAuth) -> None:
        self.outcome: str | AuthorizationError | None = None
        self._client = client
        try:
            super().__init__(("127.0.0.1", client.redirect_port), _Handler)
        except OSError as exc:
            raise UsageError(
                f"port {client.redirect_port} is needed for the browser's answer: {exc.strerror}",
                "End the program that has it, or take another --from",
            ) from exc

    @property
    def port(self) -> int:
        return self.socket.getsockname()[1]

    @property
    def redirect_uri(self) -> str:
        return f"http://{self._client.redirect_host}:{self.port}{self._client.redirect_path}"

    def wait(self) -> str:
        """Return the code. Raises `AuthorizationError`."""
        deadline = time.monotonic() + _TIMEOUT_S
        sources: list[int] = [self.fileno(), *([0] if sys.stdin.isatty() else [])]
        while self.outcome is None:
            ready, _, _ = select.select(sources, [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise AuthorizationError("nobody has agreed in the browser in time", "Try again")
            if self.fileno() in ready:
                self.handle_request()
            elif not self._take_pasted():
                sources.remove(0)
        if isinstance(self.outcome, AuthorizationError):
            raise self.outcome
        return self.outcome

    def take(self, target: str) -> None:
        """Take the target of a request. Raises `StrayRequestError`."""
        try:
            self.outcome = self.flow.code_in(target)
        except AuthorizationError as exc:
            self.outcome = exc

    def _take_pasted(self) -> bool:
        """Take a line from the terminal; return whether more may come."""
        line = os.read(0, 1 << 16)
        try:
            self.take(line.decode(errors="replace"))
        except StrayRequestError:
            sys.stderr.write("moat: that is not the address on which the browser ended\n")
        return bool(line)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that goes away: the browser's answer may still come."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 10.0
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]  it is made by nobody else

    def do_GET(self) -> None:
        try:
            self.server.take(self.path)
        except StrayRequestError:
            self._answer(404, "There is nothing here.")
            return
        agreed = isinstance(self.server.outcome, str)
        self._answer(200, "Done. You can close this page." if agreed else "Not agreed.")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Say nothing: the target has the code in it."""

    def _answer(self, status: int, text: str) -> None:
        body = f"moat: {text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)
