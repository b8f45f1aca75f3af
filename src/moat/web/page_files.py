"""The files of the page, and the fields with which a browser gets them.

They hold nothing of any run, so whoever asks may have them. The policy lets the browser run the
scripts that are served from here, and nothing else: no line within HTML, no `eval`, no markup made of
text (trusted types). xterm.js makes style sheets while it runs, which carry a number of this response.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final, NamedTuple

_FOLDER: Final = Path(__file__).with_name("page")
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_INDEX: Final = "/"
_NONCE: Final = b"NONCE"
"""The word in the page that stands for the number of the response."""


class PageFile(NamedTuple):
    kind: str
    content: bytes


class PageFiles:
    """All files of the page, by the path at which they are served."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        found = [path for path in sorted(_FOLDER.rglob("*")) if path.is_file()]
        self._files = {
            f"/{path.relative_to(_FOLDER).as_posix()}": PageFile(
                _TYPES[path.suffix], path.read_bytes()
            )
            for path in found
        }
        self._files[_INDEX] = self._files.pop("/index.html")

    def get(self, path: str) -> tuple[list[tuple[str, str]], bytes] | None:
        """Return the fields and the content of a response; `None` where there is no such file."""
        file = self._files.get(path)
        if file is None:
            return None
        nonce = secrets.token_urlsafe(16)
        content = file.content
        if path == _INDEX:
            content = content.replace(_NONCE, nonce.encode())
        return [("Content-Type", file.kind), *security_fields(self._origin, nonce)], content


def security_fields(origin: str, nonce: str) -> list[tuple[str, str]]:
    """Return the fields that tell a browser what the page may do, and who may use it."""
    sockets = origin.replace("http://", "ws://")
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}';"
        f" img-src 'self'; connect-src {sockets}; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return [
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ]
