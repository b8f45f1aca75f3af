"""The router's own pages: an index of runs and ports, and answers where a name leads nowhere. Pure."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.ports import hostnames

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.egress.traffic.entry import Fields
    from moat.router.table import Problem, RunEntry

_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:3rem auto;"
    "max-width:40rem;padding:0 1rem}h1{font-size:1.25rem}h2{font-size:1rem;margin-bottom:0}"
    "ul{margin-top:.25rem}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_FIELDS: Final[Fields] = [
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"Content-Security-Policy", _POLICY.encode()),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cache-Control", b"no-store"),
]


class Page(NamedTuple):
    """A response of the router's own."""

    status: int
    body: bytes
    fields: Fields = _FIELDS

    @property
    def phrase(self) -> bytes:
        """The reason phrase of the status."""
        return HTTPStatus(self.status).phrase.encode()


def index(runs: Iterable[RunEntry], scheme: str, number: int) -> Page:
    """Return the list of runs with ports; `number`: the port at which the router was reached."""
    listed = "".join(_run(run, scheme, number) for run in runs if run.ports)
    if not listed:
        listed = "<p>No run publishes a port: <code>moat run -p web=3000 -- COMMAND</code></p>"
    return _page(200, "Runs", listed)


def problem(found: Problem, scheme: str, number: int) -> Page:
    """Return the answer that a name leads nowhere, and a link to the index."""
    lines = [escape(found.reason), escape(found.hint)]
    lines.append(f'<a href="{hostnames.index_url(scheme, number)}">All runs</a>')
    content = "".join(f"<p>{line}</p>" for line in lines if line)
    return _page(found.status, HTTPStatus(found.status).phrase, content)


def _run(run: RunEntry, scheme: str, number: int) -> str:
    links = "".join(
        f'<li><a href="{escape(url)}">{escape(url)}</a></li>'
        for port in run.ports
        if (url := hostnames.url(scheme, run.name, port.name, number))
    )
    return f"<h2>{escape(run.name)}</h2><ul>{links}</ul>"


def _page(status: int, title: str, content: str) -> Page:
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)} · Moat</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{content}</body></html>\n"
    )
    return Page(status, text.encode())
