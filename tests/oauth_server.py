"""An OAuth provider on loopback, over real TLS, that checks what a real one checks.

It gives tokens for a code with its verifier (PKCE), for a confirmed device code, and for a refresh
token, which it takes once. `/user` accepts the access tokens that it gave.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = "a-client"


class OAuthServer:
    """Runs in threads of its own, from `with` to the end of it."""

    def __init__(self, folder: Path) -> None:
        """`folder` gets the certificate that clients must trust."""
        authority = CertificateAuthority.load_or_create(folder)
        self.certificate = folder / "provider.pem"
        self.certificate.write_bytes(authority.certificate_pem)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        context = authority.context("localhost", ("http/1.1",))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_port}"
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Path and parameters of all requests."""
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        """Answers by path that a test wants instead of the usual ones."""
        self.interval = 7
        """Seconds between questions about the device code."""
        self.device_answers: list[str] = []
        """Errors for the next questions about the device code."""
        self.accepted: set[str] = set()
        """Access tokens that are valid."""
        self._codes: dict[str, dict[str, str]] = {}
        self._refresh: set[str] = set()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def parameters(self, path: str) -> list[dict[str, str]]:
        return [parameters for asked, parameters in self.requests if asked == path]

    # --- endpoints ---

    def authorize(self, given: dict[str, str]) -> str:
        """Return where the browser is sent, as if the user had agreed."""
        assert given["response_type"] == "code"
        assert given["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self._codes[code] = given
        return f"{given['redirect_uri']}?{urlencode({'code': code, 'state': given['state']})}"

    def token(self, given: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if given.get("client_id") != CLIENT:
            return 401, {"error": "invalid_client"}
        match given.get("grant_type"):
            case "authorization_code":
                asked = self._codes.pop(given["code"], None)
                digest = hashlib.sha256(given["code_verifier"].encode()).digest()
                challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
                if asked is None or asked["code_challenge"] != challenge:
                    return 400, {"error": "invalid_grant"}
                if asked["redirect_uri"] != given["redirect_uri"]:
                    return 400, {"error": "invalid_grant"}
            case "refresh_token":
                if given["refresh_token"] not in self._refresh:
                    return 400, {"error": "invalid_grant"}
                self._refresh.remove(given["refresh_token"])
            case _:
                if self.device_answers:
                    return 400, {"error": self.device_answers.pop(0)}
        token, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.accepted.add(token)
        self._refresh.add(refresh)
        return 200, {
            "access_token": token,
            "refresh_token": refresh,
            "expires_in": 3600,
            "scope": "repo user",
            "token_type": "bearer",
        }

    def device(self) -> dict[str, Any]:
        return {
            "device_code": secrets.token_urlsafe(),
            "user_code": "ABCD-EFGH",
            "verification_uri": f"{self.url}/activate",
            "interval": self.interval,
            "expires_in": 600,
        }


class _Server(ThreadingHTTPServer):
    owner: OAuthServer
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that doesn't trust the certificate is no failure of the server's."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        owner = self.server.owner
        owner.requests.append((parts.path, given))
        if parts.path in owner.answers:
            self._answer(*owner.answers[parts.path])
        elif parts.path == "/authorize":
            self._answer(302, {"Location": owner.authorize(given)}, b"")
        elif self.headers.get("Authorization", "").removeprefix("Bearer ") in owner.accepted:
            self._answer(200, {"X-OAuth-Scopes": "repo, user"}, b'{"login": "octo"}')
        else:
            self._answer(401, {}, b'{"message": "Bad credentials"}')

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Type"] == "application/json":
            given = json.loads(body)
        else:
            given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        owner = self.server.owner
        owner.requests.append((self.path, given))
        if self.path in owner.answers:
            self._answer(*owner.answers[self.path])
        elif self.path == "/device":
            self._answer(200, {}, json.dumps(owner.device()).encode())
        else:
            status, answer = owner.token(given)
            self._answer(status, {}, json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        if "Date" not in headers:
            self.send_header("Date", self.date_time_string())
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
