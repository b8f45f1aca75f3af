"""Fields by which a client asks a server to take a request for another one. Pure.

Frameworks let clients that can only GET and POST name another method in a field. Servers behind a
rewriting proxy believe its fields about the path. Every product has names of its own for them, so they
are known by patterns, in which only letters and digits count: servers that pass fields as variables
(RFC 3875 4.1.18) make the same of `-`, `_` and `.`. Such fields are forwarded, but the policy considers
them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from moat.egress.http.messages import BadMessageError

if TYPE_CHECKING:
    from collections.abc import Iterable

# The IANA registry of methods, and those of well-known caches.
METHODS: Final = frozenset(
    "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK MERGE"
    " MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST"
    " PROPFIND PROPPATCH PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE"
    " UPDATEREDIRECTREF VERSION-CONTROL PURGE BAN REFRESH".split()
)

_CACHED_LENGTH: Final = 64
"""The longest name, in bytes, that is cached."""
_MOST_ALTERNATIVES: Final = 4
"""Methods, or targets, that fields may name: every combination of them needs a decision."""
_MOST_MENTIONED: Final = 100
"""Different paths in other fields that are looked at."""
TOO_MANY: Final = "/%00"
"""Stands for more of them: a path that no rule allows, because servers differ about it."""
_SEPARATOR: Final = re.compile(rb"[^a-z0-9]")
_METHOD_ALONE: Final = re.compile(rb"x?(?:httpmethod(?:override)?|methodoverride)")
"""Names of fields that hold a method and can't hold anything else."""
_TARGET_ENDS: Final = (
    *(b"url", b"uri", b"path", b"pathinfo", b"prefix", b"redirect", b"scriptname", b"sendfile"),
    b"destination",
)
_TARGET_NAME: Final = re.compile(
    rb"original|rewrit|overrid|forward|request|prox[yi]|real|replaced|encoded|rerout|redirect|internal"
    rb"|destination|true|raw|sendfile|scriptname|pathinfo|\A(?:x|http|base)*(?:ur[il]|path)\Z"
)
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
_NO_WORD: Final = re.compile(rb"[^A-Za-z0-9._-]+")
_URL_START: Final = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_SCHEME: Final = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*:")
_MENTIONED: Final = re.compile(
    rb"(?:\A|[\s,;=\"'<(])((?:[A-Za-z][A-Za-z0-9+.-]*:)?/[^\s,;\"'<>()]*)"
)
# Nobody takes their paths for that of the request; ordinary requests have them.
_UNHEEDED: Final = frozenset(
    (
        *(b"authorization", b"cookie", b"origin", b"referer", b"user-agent", b"link"),
        *(b"accept", b"content-type"),
        *(b"traceparent", b"tracestate", b"baggage", b"sec-websocket-key", b"x-forwarded-for"),
    )
)


def overrides(name: bytes) -> bool:
    """Tell whether a field may name another method, or another path."""
    return _cached(name) if len(name) <= _CACHED_LENGTH else _overrides(name)


def without_overrides(trailers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return a request's trailers without such fields: the request has been decided about before."""
    return [each for each in trailers if not overrides(each[0])] if trailers else trailers


def _overrides(name: bytes) -> bool:
    plain = _plain(name)
    return _names_method(plain) or _names_target(plain)


_cached = lru_cache(maxsize=1024)(_overrides)


def overriding_methods(fields: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """Return the methods that fields override the request's with. Raises `BadMessageError`."""
    methods: dict[str, None] = {}
    for name, value in fields:
        plain = _plain(name)
        if not _names_method(plain):
            continue
        if _METHOD_ALONE.fullmatch(plain):
            if not _METHOD.fullmatch(value):
                raise BadMessageError("a field that overrides the method has an invalid value")
            methods[value.decode("ascii").upper()] = None
        else:
            words = (word.decode("ascii").upper() for word in _NO_WORD.split(value))
            methods |= dict.fromkeys(word for word in words if word in METHODS)
    return _few(methods)


def rerouted_targets(fields: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """Return the targets, in origin-form, that fields override the request's with.

    Raises `BadMessageError` if there are too many.
    """
    targets: dict[str, None] = {}
    for name, value in fields:
        if not _names_target(_plain(name)):
            continue
        # A server may take the first of several (`/a, /b`), or all of it for one.
        for each in dict.fromkeys((value, *re.split(rb"[,\s]+", value))):
            if each:
                text = _URL_START.sub("", _ascii(each.strip(b"\"'<>")))
                targets["/" + text.removeprefix("/")] = None
    return _few(targets)


def mentioned_targets(fields: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Return whatever looks like a path or a URL in fields, in origin-form, each once."""
    found: list[bytes] = []
    for name, value in fields:
        if b"/" in value and name.lower() not in _UNHEEDED:
            found += _MENTIONED.findall(value)
    if not found:
        return []
    different = dict.fromkeys(found)
    if len(different) > _MOST_MENTIONED:
        return [TOO_MANY]
    return [_SCHEME.sub("", _ascii(each)) for each in different]


def _names_method(plain: bytes) -> bool:
    named = b"method" in plain or b"verb" in plain
    return named and not plain.startswith(b"accesscontrol")  # CORS asks for permission by it


def _names_target(plain: bytes) -> bool:
    return plain.endswith(_TARGET_ENDS) and _TARGET_NAME.search(plain) is not None


def _plain(name: bytes) -> bytes:
    return _SEPARATOR.sub(b"", name.lower())


def _ascii(value: bytes) -> str:
    return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in value)


def _few(alternatives: dict[str, None]) -> tuple[str, ...]:
    few = tuple(alternatives)
    if len(few) > _MOST_ALTERNATIVES:
        raise BadMessageError("too many fields name another method or path")
    return few
