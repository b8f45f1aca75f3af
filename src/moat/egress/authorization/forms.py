"""The forms in which a secret comes back: as it was sent, escaped, or encoded as usual. Pure."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from moat.egress.http.secret_masking import MIN_LENGTH, Secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_SECRET: Final = frozenset(("username", "access_key_id"))
"""Fields that say who somebody is. Many responses have them, rightly."""
_ESCAPE: Final = re.compile("%[0-9A-F]{2}")
# What libraries escape beyond what they have to, where credentials have such characters.
_IN_JSON: Final = (
    ("<>&", "\\u{:04x}"),  # Go, Rails
    ("<>&='", "\\u{:04x}"),  # Gson
    ("<>&+'`", "\\u{:04X}"),  # System.Text.Json
)
_IN_HTML: Final = (
    ("=/`", "&#x{:X};"),  # Mustache
    ("=`", "&#x{:X};"),  # Handlebars
    ("+`", "&#x{:X};"),  # System.Text.Encodings.Web
    ("+", "&#{};"),  # Go
)
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def echoes(fields: Mapping[str, str]) -> Secrets:
    """Return all that is to be found of a credential in responses."""
    return Secrets(
        *(
            form
            for name, secret in fields.items()
            if name not in _NOT_SECRET and len(secret) >= MIN_LENGTH
            for form in forms_of(secret)
        )
    )


def forms_of(secret: str) -> set[bytes]:
    plain = secret.encode()
    texts = {secret, plain.hex(), plain.hex().upper()}
    for in_url in (quote(secret, safe=""), quote(secret)):
        texts |= {in_url, _ESCAPE.sub(lambda found: found[0].lower(), in_url)}
    in_json = json.dumps(secret)[1:-1]
    for more, escape in (("", ""), *_IN_JSON):
        escaped = _escaped(in_json, more, escape)
        texts |= {escaped, escaped.replace("/", "\\/")}
    for more, escape in (("", ""), *_IN_HTML):
        texts.add(_escaped(html.escape(secret), more, escape))
    found = {each.encode() for each in texts}
    for offset in range(3):
        encoded = _base64_inside(plain, offset)
        found |= {encoded, encoded.translate(_URL_SAFE)}
    return found


def _escaped(text: str, more: str, escape: str) -> str:
    return "".join(escape.format(ord(each)) if each in more else each for each in text)


def _base64_inside(plain: bytes, offset: int) -> bytes:
    """Return the part of a longer text's base64 that depends on this secret alone.

    `offset`: the number of bytes before it, of which only the remainder by 3 matters.
    """
    encoded = base64.b64encode(bytes(offset) + plain).rstrip(b"=")
    first = -(-offset * 8 // 6)
    last = len(encoded) - (1 if (offset + len(plain)) % 3 else 0)
    return encoded[first:last]
