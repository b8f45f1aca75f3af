"""What a record must not hold: keys, tokens, passwords. Pure.

Names decide, not values: a name that sounds like a secret costs a line of a record its value, and a
secret that was kept can't be taken back.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.entry import Fields

MASK: Final = "***"

# Within a name. Counts (max_tokens, x-ratelimit-remaining-tokens) are no secrets.
_SECRET_PART: Final = re.compile(
    r"token(?!s)|secret|passw|passphrase|pwd|api[-_.]?key|access[-_.]?key|private[-_.]?key"
    r"|subscription[-_.]?key|signature|credential|authorization|assertion|session|cookie|jwt|saml"
)
_SECRET_PARAMETERS: Final = frozenset(
    "key sig code auth pass sid ticket auth_code device_code user_code code_verifier".split()
)
_SECRET_HEADERS: Final = frozenset(
    # The last: clients that can't set headers (browsers) send their keys as a subprotocol.
    ("x-auth-key", "x-functions-key", "x-auth", "auth", "sec-websocket-protocol")
)

# Of a query or of a fragment (OAuth 2.0 puts tokens there: RFC 6749, 4.2.2), and what ends its value.
# A semicolon may begin a parameter, and may be part of a value: servers differ.
_PARAMETER: Final = re.compile(r"[?&;#]([^=?&;#]+)=")
_VALUE_END: Final = re.compile(r"[&#]")
_NO_END: Final = re.compile(r"(?!)")
_USERINFO: Final = re.compile(r"//[^/?#@\s]*(?:@[^/?#@\s]*)*@")
# A member of a JSON object whose value is a string, which may be cut off at its end.
_JSON_MEMBER: Final = re.compile(
    r'("(?:[^"\\]|\\.){1,64}")(\s*+:\s*+)"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL
)
# Not `token` alone: it is what a piece of a model's answer is called.
_SECRET_MEMBER: Final = re.compile(
    r"\w[-_]?token\"|secret|passw|passphrase|api[-_]?key|access[-_]?key|private[-_]?key"
    r"|assertion|signature|credential|cookie"
)

_DECODED_LIMIT: Final = 1 << 16


def target(path: str) -> str:
    """A request's target without the secrets in its query, and in parameters of its segments."""
    before, mark, query = path.partition("?")
    if ";" in before:
        before = "/".join(_parameters(segment, _NO_END) for segment in before.split("/"))
    return before + _parameters(mark + query) if mark else before


def is_secret_header(name: str) -> bool:
    lower = name.lower()
    return lower in _SECRET_HEADERS or _SECRET_PART.search(lower) is not None


def fields(sent: Fields) -> list[tuple[str, str]]:
    """Header fields as text, secret ones masked; and what their values (Location, Referer) refer to."""
    known: list[tuple[str, str]] = []
    for raw, value in sent:
        name = raw.decode("latin-1")
        known.append((name, MASK if is_secret_header(name) else url(value.decode("latin-1"))))
    return known


def url(text: str) -> str:
    """Text that is, or holds, URLs: without user names, passwords and secret parameters."""
    if "@" in text:
        text = _USERINFO.sub(f"//{MASK}@", text)
    return _form(text) if "=" in text else text


def body(sent: Fields, data: bytes) -> bytes | None:
    """The beginning of a body, decoded; `None` where it can't be read, and so can't be redacted.

    `sent`: the header fields of its message.
    """
    kind = coding = ""
    for name, value in sent:
        match name.lower():
            case b"content-type":
                kind = value.decode("latin-1").lower()
            case b"content-encoding":
                coding = value.decode("latin-1").strip().lower()
            case _:
                continue
    plain = _decoded(coding, data)
    if plain is None:
        return None
    if "json" in kind or "event-stream" in kind:
        return _as_text(plain, _members)
    if "x-www-form-urlencoded" in kind:
        return _as_text(plain, _form)
    return plain


def _as_text(data: bytes, redacted: Callable[[str], str]) -> bytes:
    """Latin-1 has a character for every byte, so that nothing but secrets changes."""
    return redacted(data.decode("latin-1")).encode("latin-1")


def _decoded(coding: str, data: bytes) -> bytes | None:
    if coding in {"", "identity"}:
        return data
    if coding not in {"gzip", "x-gzip", "deflate"}:
        return None
    try:
        # 47: the format (RFC 1950 or 1952) is told by its header.
        return zlib.decompressobj(47).decompress(data, _DECODED_LIMIT)
    except zlib.error:
        return None


def _form(text: str) -> str:
    """Of text that may begin with a parameter."""
    return _parameters(f"&{text}")[1:]


def _parameters(text: str, value_end: re.Pattern[str] = _VALUE_END) -> str:
    if not any(map(_is_secret_parameter, _PARAMETER.findall(text))):
        return text  # nearly always: worth a look of its own
    pieces: list[str] = []
    done = 0
    for match in _PARAMETER.finditer(text):
        if match.start() >= done and _is_secret_parameter(match[1]):
            pieces += text[done : match.end()], MASK
            end = value_end.search(text, match.end())
            done = end.start() if end is not None else len(text)
    return "".join(pieces) + text[done:]


@lru_cache(512)
def _is_secret_parameter(name: str) -> bool:
    plain = (unquote_plus(name) if "%" in name else name).lower().strip()
    return plain in _SECRET_PARAMETERS or _SECRET_PART.search(plain) is not None


def _members(text: str) -> str:
    return _JSON_MEMBER.sub(_member, text)


def _member(match: re.Match[str]) -> str:
    name, colon = match.groups()
    return f'{name}{colon}"{MASK}"' if _SECRET_MEMBER.search(name.lower()) else match[0]
