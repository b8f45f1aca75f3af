"""What a record must not hold: keys, tokens, passwords. Pure.

Names decide, not values: a name that sounds like a secret costs a line of a record its value, and a
secret that was kept can't be taken back. Two shapes of values are known all the same, because they
stand where no name does: what follows `Authorization: Bearer`, and the passwords of URLs.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.traffic.entry import Fields

MASK: Final = "***"

# Within a name. Counts (max_tokens, token_count, x-ratelimit-remaining-tokens) are no secrets.
_SECRET_PART: Final = re.compile(
    r"token(?!s|[-_]?(?:count|limit|budget|type|usage)|iz)|secret|passw|passphrase|pwd"
    r"|(?:api|access|private|subscription)[-_.]?key|signature|credential|authorization|assertion|session|cookie|jwt|saml"
)
_SECRET_PARAMETERS: Final = frozenset(
    "key sig code auth pass pw sid ticket auth_code device_code user_code code_verifier".split()
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
# Not a challenge, which has parameters.
_AUTHORIZATION: Final = re.compile(
    r"(?:bearer|basic|negotiate|token)\s+[\w.~+/=-]{8,}", re.IGNORECASE
)

# A member of a JSON object whose value is a string or an array of strings (fields, as servers that echo
# them write it), and may be cut off at its end.
_STRING: Final = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_JSON_MEMBER: Final = re.compile(
    r'("(?:[^"\\]|\\.){1,64}")(\s*+:\s*+)'
    rf'(?:{_STRING}|(\[)(?:[^"\[\]{{}}:]|{_STRING})*+(?:\]|\Z))',
    re.DOTALL,
)
# Ends where only what the word means is secret: `token_endpoint` and `session_count` are not.
_SECRET_MEMBER: Final = re.compile(
    r"\w[-_.]?token\"|secret|passw|passphrase|pwd|(?:api|access|private|subscription)[-_.]?key"
    r"|assertion|signature|credential|cookie|jwt|saml|code[-_]?verifier|authorization\""
    r"|(?:session|session[-_]?(?:id|key)|\W_?auth|\Wsig)\""
)
# What else is secret in a request for a token (RFC 6749, 4.1.3): elsewhere a code is an error's.
_GRANT: Final = re.compile(r"grant[-_]?type", re.IGNORECASE)
_GRANT_MEMBER: Final = re.compile(r'"(?:device[-_]?)?code"')
_PIECE_LENGTH: Final = 20
"""Characters of what a model's answer calls a `token`; a secret that is called so is longer."""

# Of URLs and fields that stand in a text: what ends them there is not known.
_EMBEDDED_USERINFO: Final = re.compile(r"""(:(?://|\\/\\/))[^/?#\s"'\\<>]+@""")
_EMBEDDED_PARAMETER: Final = re.compile(r"""((?:[?&;]|\\u0026)([\w.%~-]{1,64}+)=)[^&#"'\s\\<>]++""")
# As a line, as a member, or as a pair of name and value.
_EMBEDDED_AUTHORIZATION: Final = re.compile(
    r"(authorization\W{1,12}(?:value\W{1,8})?(?:bearer|basic|negotiate|token)\s{1,4})"
    r"""[^\s"'\\,<>]++""",
    re.IGNORECASE,
)
_TEXTS: Final = re.compile(r"json|event-stream|text/|xml|javascript|yaml|\A\Z")

_DECODED_LIMIT: Final = 1 << 16
_DEFLATED: Final = frozenset(("gzip", "x-gzip", "deflate"))
_ANY_HEADER: Final = 47
"""For zlib: the format (RFC 1950 or 1952) is told by its header."""


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
        text = value.decode("latin-1")
        secret = is_secret_header(name) or _AUTHORIZATION.fullmatch(text) is not None
        known.append((name, MASK if secret else url(text)))
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
    kind = _value(sent, b"content-type")
    plain = _decoded(coding(sent), data)
    if plain is None:
        return None
    if "x-www-form-urlencoded" in kind:
        return _as_text(plain, _form)
    if "json" in kind or "event-stream" in kind:
        plain = _as_text(plain, _members)
    return _as_text(plain, _embedded) if _TEXTS.search(kind) else plain


def coding(sent: Fields) -> str:
    """What a body has to be decoded from (Content-Encoding); empty where it is plain."""
    named = _value(sent, b"content-encoding").strip()
    return "" if named == "identity" else named


def decoded_length(sent: Fields, data: bytes) -> int | None:
    """Of a whole body; `None` where it can't be decoded to its end."""
    if coding(sent) not in _DEFLATED:
        return None if coding(sent) else len(data)
    decoder = zlib.decompressobj(_ANY_HEADER)
    length = 0
    try:
        while data and not decoder.eof:  # in pieces: it may be a thousand times as long
            length += len(decoder.decompress(data, _DECODED_LIMIT))
            data = decoder.unconsumed_tail
    except zlib.error:
        return None
    return length if decoder.eof else None


def _value(sent: Fields, name: bytes) -> str:
    """Of the last such field, in lower case."""
    found = [value for each, value in sent if each.lower() == name]
    return found[-1].decode("latin-1").lower() if found else ""


def _as_text(data: bytes, redacted: Callable[[str], str]) -> bytes:
    """Latin-1 has a character for every byte, so that nothing but secrets changes."""
    return redacted(data.decode("latin-1")).encode("latin-1")


def _decoded(coding: str, data: bytes) -> bytes | None:
    if not coding:
        return data
    if coding not in _DEFLATED:
        return None
    try:
        return zlib.decompressobj(_ANY_HEADER).decompress(data, _DECODED_LIMIT)
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
    grants = _GRANT.search(text) is not None

    def member(match: re.Match[str]) -> str:
        name, colon, array = match.groups()
        length = match.end() - match.end(2) - len('""')
        if not _is_secret_member(name.lower(), length, grants=grants):
            return match[0]
        return f'{name}{colon}["{MASK}"]' if array else f'{name}{colon}"{MASK}"'

    return _JSON_MEMBER.sub(member, text)


def _is_secret_member(name: str, length: int, *, grants: bool) -> bool:
    """`name` with its quotes."""
    if name == '"token"':
        return length > _PIECE_LENGTH
    if _SECRET_MEMBER.search(name) is not None:
        return True
    return grants and _GRANT_MEMBER.fullmatch(name) is not None


def _embedded(text: str) -> str:
    """Of text that may hold URLs and fields anywhere."""
    text = _EMBEDDED_USERINFO.sub(rf"\1{MASK}@", text)
    text = _EMBEDDED_AUTHORIZATION.sub(rf"\1{MASK}", text)
    return _EMBEDDED_PARAMETER.sub(_embedded_parameter, text)


def _embedded_parameter(match: re.Match[str]) -> str:
    return f"{match[1]}{MASK}" if _is_secret_parameter(match[2]) else match[0]
