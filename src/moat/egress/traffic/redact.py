"""Masking keys, tokens and passwords in what is recorded. Pure.

Names decide, not values: a harmless value behind a suspicious name is lost to the record, but a secret
that has been recorded can't be taken back. Two kinds of values are recognised all the same, because
they have no name: what follows `Authorization: Bearer`, and passwords in URLs.
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

# Anywhere in a name. Counts (max_tokens, token_count, x-ratelimit-remaining-tokens) are no secrets.
_SECRET_PART: Final = re.compile(
    r"token(?!s|[-_]?(?:count|limit|budget|type|usage)|iz)|secret|passw|passphrase|pwd"
    r"|(?:api|access|private|subscription)[-_.]?key|signature|credential|authorization|assertion|session|cookie|jwt|saml"
)
_SECRET_PARAMETERS: Final = frozenset(
    "key sig code auth pass pw sid ticket auth_code device_code user_code code_verifier".split()
)
_SECRET_HEADERS: Final = frozenset(
    # The last one: clients that can't set headers (browsers) send their keys as a subprotocol.
    ("x-auth-key", "x-functions-key", "x-auth", "auth", "sec-websocket-protocol")
)

# The parameters of a query or a fragment (OAuth 2.0 has tokens there: RFC 6749 4.2.2), and the end of
# a value. A semicolon may begin a parameter or be part of a value: servers differ.
_PARAMETER: Final = re.compile(r"[?&;#]([^=?&;#]+)=")
_VALUE_END: Final = re.compile(r"[&#]")
_NO_END: Final = re.compile(r"(?!)")
_USERINFO: Final = re.compile(r"//[^/?#@\s]*(?:@[^/?#@\s]*)*@")
# Credentials, not a challenge, which has parameters.
_AUTHORIZATION: Final = re.compile(
    r"(?:bearer|basic|negotiate|token)\s+[\w.~+/=-]{8,}", re.IGNORECASE
)

# A member of a JSON object with a string or an array of strings as its value (servers that echo header
# fields write them like that). The value may be cut off.
_STRING: Final = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_JSON_MEMBER: Final = re.compile(
    r'("(?:[^"\\]|\\.){1,64}")(\s*+:\s*+)'
    rf'(?:{_STRING}|(\[)(?:[^"\[\]{{}}:]|{_STRING})*+(?:\]|\Z))',
    re.DOTALL,
)
# Some words are secret only at the end of a name: `token_endpoint` and `session_count` are not.
_SECRET_MEMBER: Final = re.compile(
    r"\w[-_.]?token\"|secret|passw|passphrase|pwd|(?:api|access|private|subscription)[-_.]?key"
    r"|assertion|signature|credential|cookie|jwt|saml|code[-_]?verifier|authorization\""
    r"|(?:session|session[-_]?(?:id|key)|\W_?auth|\Wsig)\""
)
# A code is secret in a request for a token (RFC 6749 4.1.3); elsewhere it is that of an error.
_GRANT: Final = re.compile(r"grant[-_]?type", re.IGNORECASE)
_GRANT_MEMBER: Final = re.compile(r'"(?:device[-_]?)?code"')
_PIECE_LENGTH: Final = 20
"""Characters, at most, of what a model's response calls a `token`; a secret token is longer."""

# URLs and fields inside other text, where their ends can only be guessed.
_EMBEDDED_USERINFO: Final = re.compile(r"""(:(?://|\\/\\/))[^/?#\s"'\\<>]+@""")
_EMBEDDED_PARAMETER: Final = re.compile(r"""((?:[?&;]|\\u0026)([\w.%~-]{1,64}+)=)[^&#"'\s\\<>]++""")
# As a line, as a member of an object, or as a pair of name and value.
_EMBEDDED_AUTHORIZATION: Final = re.compile(
    r"(authorization\W{1,12}(?:value\W{1,8})?(?:bearer|basic|negotiate|token)\s{1,4})"
    r"""[^\s"'\\,<>]++""",
    re.IGNORECASE,
)
_TEXTS: Final = re.compile(r"json|event-stream|text/|xml|javascript|yaml|\A\Z")

_DECODED_LIMIT: Final = 1 << 16
_DEFLATED: Final = frozenset(("gzip", "x-gzip", "deflate"))
_ANY_HEADER: Final = 47
"""zlib's `wbits` for either format (RFC 1950, RFC 1952), by its header."""


def target(path: str) -> str:
    """Mask secrets in the query of a request's target, and in parameters of its path segments."""
    before, mark, query = path.partition("?")
    if ";" in before:
        before = "/".join(_parameters(segment, _NO_END) for segment in before.split("/"))
    return before + _parameters(mark + query) if mark else before


def is_secret_header(name: str) -> bool:
    lower = name.lower()
    return lower in _SECRET_HEADERS or _SECRET_PART.search(lower) is not None


def fields(sent: Fields) -> list[tuple[str, str]]:
    """Decode header fields, and mask secret values and the secrets in URLs (Location, Referer)."""
    redacted: list[tuple[str, str]] = []
    for raw, value in sent:
        name = raw.decode("latin-1")
        text = value.decode("latin-1")
        secret = is_secret_header(name) or _AUTHORIZATION.fullmatch(text) is not None
        redacted.append((name, MASK if secret else url(text)))
    return redacted


def url(text: str) -> str:
    """Mask user names, passwords and secret parameters in text that is, or contains, URLs."""
    if "@" in text:
        text = _USERINFO.sub(f"//{MASK}@", text)
    return _form(text) if "=" in text else text


def body(sent: Fields, data: bytes) -> bytes | None:
    """Decode and redact the beginning of a body; `None` if it can't be decoded.

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
    """Return the coding of a body (Content-Encoding); empty if it has none."""
    named = _value(sent, b"content-encoding").strip()
    return "" if named == "identity" else named


def decoded_length(sent: Fields, data: bytes) -> int | None:
    """Return the decoded length of a whole body; `None` if it can't be decoded to its end."""
    if coding(sent) not in _DEFLATED:
        return None if coding(sent) else len(data)
    decoder = zlib.decompressobj(_ANY_HEADER)
    length = 0
    try:
        while data and not decoder.eof:  # in pieces: it may be a thousand times longer
            length += len(decoder.decompress(data, _DECODED_LIMIT))
            data = decoder.unconsumed_tail
    except zlib.error:
        return None
    return length if decoder.eof else None


def _value(sent: Fields, name: bytes) -> str:
    """Return the value of the last field with that name, in lower case."""
    found = [value for each, value in sent if each.lower() == name]
    return found[-1].decode("latin-1").lower() if found else ""


def _as_text(data: bytes, mask: Callable[[str], str]) -> bytes:
    """Apply a function of text. Latin-1 has a character for every byte, so nothing else changes."""
    return mask(data.decode("latin-1")).encode("latin-1")


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
    """Mask secret parameters in text that may begin with one."""
    return _parameters(f"&{text}")[1:]


def _parameters(text: str, value_end: re.Pattern[str] = _VALUE_END) -> str:
    if not any(map(_is_secret_parameter, _PARAMETER.findall(text))):
        return text  # the usual case, which is worth a check of its own
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
    """Tell whether a member is secret; `name` includes the quotes, `length` is that of the value."""
    if name == '"token"':
        return length > _PIECE_LENGTH
    if _SECRET_MEMBER.search(name) is not None:
        return True
    return grants and _GRANT_MEMBER.fullmatch(name) is not None


def _embedded(text: str) -> str:
    """Mask secrets of URLs and fields anywhere in a text."""
    text = _EMBEDDED_USERINFO.sub(rf"\1{MASK}@", text)
    text = _EMBEDDED_AUTHORIZATION.sub(rf"\1{MASK}", text)
    return _EMBEDDED_PARAMETER.sub(_embedded_parameter, text)


def _embedded_parameter(match: re.Match[str]) -> str:
    return f"{match[1]}{MASK}" if _is_secret_parameter(match[2]) else match[0]
