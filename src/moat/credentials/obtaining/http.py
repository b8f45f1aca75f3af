"""Requests to providers: TLS that is verified, no redirects, and answers of a bounded size.

`urllib` suffices: a command makes a few requests, one after the other. It uses the proxies of the
environment, and the certificates of the system or of `SSL_CERT_FILE`. A supervisor, whose environment is
bare, says what to use instead.

No error quotes what a server said: it may be what it was sent.
"""

from __future__ import annotations

import socket
import ssl
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPS_PORT, HTTPConnection, HTTPException, HTTPMessage, HTTPResponse
from threading import Timer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from moat import typed_json
from moat.errors import MoatError, UsageError
from moat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

_TIMEOUT_S: Final = 20.0
"""Patience with each step: a connection, a byte more of the answer."""
_TOTAL_S: Final = 60.0
"""Patience with the whole request: a run waits for its credential, and others of the credential, too."""
_MAX_BYTES: Final = 1 << 20


class UnreachableError(MoatError):
    """A provider can't be reached, or gives an answer that can't be used."""

    code = "provider_unreachable"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a provider; the body may hold a secret."""

    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the object in the body, an empty one if it holds none."""
        try:
            return typed_json.object_of(typed_json.parse(self.body), "the answer")
        except ValueError:
            return {}

    def __repr__(self) -> str:
        return f"<answer {self.status}>"


@dataclass(frozen=True, slots=True)
class Way:
    """The way to a provider, as far as the environment of the process doesn't tell it."""

    proxy: str | None = ""
    """The URL of the proxy, perhaps with a password; empty for none, `None` for the environment's."""
    authorities: str = ""
    """PEM certificates that are trusted in addition to the system's."""

    def __repr__(self) -> str:
        return "<way>"


OF_ENVIRONMENT: Final = Way(proxy=None)


def request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    way: Way = OF_ENVIRONMENT,
    total: float = _TOTAL_S,
) -> Answer:
    """Send a request and return the answer, whatever its status. Raises `UnreachableError`.

    `total`: the seconds after which it is given up, however busy the server is with its answer.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise UsageError(f"{url!r} is no https URL", "Credentials are sent over TLS alone")
    prepared = urllib.request.Request(  # noqa: S310  the scheme was checked
        url, body, {"User-Agent": f"moat/{__version__}", **headers}, method=method
    )
    # No handler for redirects, which would carry a credential to another host, and none that raises for
    # a status.
    opener = urllib.request.OpenerDirector()
    context = ssl.create_default_context()
    if way.authorities:
        context.load_verify_locations(cadata=way.authorities)
    opener.add_handler(urllib.request.ProxyHandler(_proxies(way)))
    handler = _Handler(context)
    opener.add_handler(handler)
    try:
        with handler.ended_after(total), opener.open(prepared, timeout=_TIMEOUT_S) as response:
            content: bytes = response.read(_MAX_BYTES + 1)
        if handler.is_late:  # then that is what there was of it
            raise TimeoutError
        return Answer(response.status, response.headers, _bounded(content))
    except (OSError, HTTPException, ValueError) as exc:
        why, hint = _reason(exc)
        if handler.is_late:
            why = f"it took longer than {total:g} s"
        raise UnreachableError(f"{parts.hostname} can't be reached: {why}", hint) from None


class _Handler(urllib.request.HTTPSHandler):
    """Makes the one connection of a request, which a timer ends."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._tls = context
        self._connection: _Connection | None = None
        self.is_late = False

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(self._connected, req)

    def _connected(self, host: str, /, **options: Any) -> HTTPConnection:
        self._connection = _Connection(host, self._tls, **options)
        return self._connection

    @contextmanager
    def ended_after(self, seconds: float) -> Generator[None]:
        """Shut the connection down if the block takes longer: a timeout is only for each read."""
        timer = Timer(seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            if self._connection is not None and self._connection.opened is not None:
                self._connection.opened.close()

    def _end(self) -> None:
        self.is_late = True
        if self._connection is not None and self._connection.opened is not None:
            with suppress(OSError):
                self._connection.opened.shutdown(socket.SHUT_RDWR)


class _Connection(HTTPConnection):
    """A connection with TLS whose socket can be shut down by another thread, at any step."""

    default_port = HTTPS_PORT

    def __init__(self, host: str, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(host, **options)
        self._tls = context
        self._name = self.host
        self.opened: socket.socket | None = None
        """The connection below TLS; `sock` is another object in each step, and none in the last."""

    def set_tunnel(
        self, host: str, port: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Reach `host` through the proxy to which this is a connection."""
        super().set_tunnel(host, port, headers)
        self._name = host.rpartition(":")[0] if ":" in host else host

    def connect(self) -> None:
        super().connect()
        self.opened = self.sock.dup()
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


def _reason(exc: Exception) -> tuple[str, str]:
    """Say why a request failed and what to do, without the words of the server or of the request."""
    reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    hint = "Check the network, and the clock"
    match reason:
        case ssl.SSLCertVerificationError():
            why = f"its certificate isn't valid ({reason.verify_message})"
            hint = "Check the clock; an authority of your own: network.upstream_ca in config.yaml"
        case ssl.SSLError():
            why = f"TLS fails ({reason.reason})"
        case TimeoutError():
            why = "it doesn't answer in time"
        case OSError():
            why = reason.strerror or "the connection failed"
        case HTTPException():
            why = "its answer is no HTTP"
        case _:
            why = "the request is malformed"
    return why, hint


def _proxies(way: Way) -> dict[str, str] | None:
    """Return what `ProxyHandler` wants; `None` for the proxies of the environment."""
    if way.proxy is None:
        return None
    return {"https": way.proxy} if way.proxy else {}


def _bounded(body: bytes) -> bytes:
    return body if len(body) <= _MAX_BYTES else b""
