"""The path of a request, in each way in which a server may understand it. Pure.

A rule about paths is worth no more than the worst of these ways: a request is denied where one of them
is denied. And where servers could see something that can't be known here (an encoded slash, bytes that
aren't UTF-8) the path is ambiguous, and the request is denied as well.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

_CACHED_LENGTH: Final = 2048
"""The longest target, in characters, that is cached: a hostile program has many longer ones."""
_ENCODED: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_BEYOND_ASCII: Final = re.compile(r"(?:%[89A-F][0-9A-F])+")
_RESERVED: Final = re.compile(r"[\x00-\x20\"<>\[\]^`{|}\x7f]")
_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@"
)
_STRUCTURE: Final = frozenset("/\\%;?#.")
_PARAMETERS: Final = re.compile(r";[^/]*")


class Interpretations(NamedTuple):
    paths: tuple[str, ...]
    """Different paths, the usual one first, without a final slash, parameters and query."""
    unambiguous: bool
    """No server sees anything else."""


def interpretations(target: str) -> Interpretations:
    """Return the paths that servers may see in a request target.

    All spellings of a path have one form (RFC 3986 6.2.2): a character that need not be encoded stands
    for itself, and dot segments are resolved. Some servers drop empty segments; Windows drops dots and
    spaces at the end of a segment; others fold full-width characters and ligatures.
    """
    return _cached(target) if len(target) <= _CACHED_LENGTH else _interpretations(target)


def interpretations_of_rule(path: str) -> Interpretations:
    """Return the paths that a rule means by `path`: only empty segments can be meant in two ways."""
    plain, clear = _decoded(path.partition("?")[0].partition("#")[0])
    plain, whole = _without_parameters(plain)
    forms = _resolved(plain)
    return Interpretations(forms.paths, clear and whole and forms.unambiguous)


def has_dot_segments(target: str) -> bool:
    """Tell whether the path of a target has `.` or `..` for a segment, in any spelling.

    Clients resolve these before they send a request. A server that doesn't may choose by the beginning
    of the path, which then isn't that of the resolved one.
    """
    path = target.partition("?")[0].partition("#")[0].replace("%2e", ".").replace("%2E", ".")
    return any(each.partition(";")[0] in {".", ".."} for each in path.split("/"))


def _interpretations(target: str) -> Interpretations:
    path, clear = _decoded(target.partition("?")[0].partition("#")[0])
    path, whole = _without_parameters(path)
    paths = [path]
    if not path.isascii():
        folded = unicodedata.normalize("NFKC", path)
        clear = clear and _structure(folded) == _structure(path)
        paths.append(folded)
    forms: list[str] = []
    for each in paths:
        resolved = _resolved(each)
        clear = clear and resolved.unambiguous
        forms += resolved.paths
    forms += [_as_on_windows(each) for each in forms]
    return Interpretations(tuple(dict.fromkeys(forms)), clear and whole)


_cached = lru_cache(maxsize=1024)(_interpretations)


def _decoded(path: str) -> tuple[str, bool]:
    """Return the path without needless encodings, and whether it is unambiguous.

    It isn't with an encoded slash or NUL, a backslash, a double or a malformed encoding.
    """
    clear = "\\" not in path and "%" not in _ENCODED.sub("", path)

    def decode(match: re.Match[str]) -> str:
        nonlocal clear
        byte = int(match[1], 16)
        if byte in b"/\\%;?#" or byte < 0x20 or byte == 0x7F:
            clear = False
        return chr(byte) if byte in _UNRESERVED else match[0].upper()

    def characters(match: re.Match[str]) -> str:
        nonlocal clear
        try:
            return bytes.fromhex(match[0].replace("%", "")).decode()
        except UnicodeDecodeError:  # overlong forms, too: %C0%AE is a dot to some servers
            clear = False
            return match[0]

    path = _ENCODED.sub(decode, path)
    path = _RESERVED.sub(lambda match: f"%{ord(match[0]):02X}", path)
    return _BEYOND_ASCII.sub(characters, path), clear


def _without_parameters(path: str) -> tuple[str, bool]:
    """Return the path without `;x`, and whether there was none.

    Some servers take `;x` for a part of its segment; and `..` isn't a dot segment with `;x` behind it.
    """
    return (_PARAMETERS.sub("", path), False) if ";" in path else (path, True)


def _resolved(path: str) -> Interpretations:
    """Resolve the dot segments, with empty segments dropped and with empty segments kept."""
    segments = path.split("/")[1:]
    if segments and not segments[-1]:
        del segments[-1]
    merged, kept, clear = _walked([each for each in segments if each]), _walked(segments), True
    if "" in segments:
        # `..` removes the empty segment before it (RFC 3986 5.2.4) or, elsewhere, the one before that.
        clear = ".." not in segments[segments.index("") :]
    if any(each not in {"", ".", ".."} and not _as_on_windows(each) for each in segments):
        clear = False  # `...`, `..%20`: to Windows these are `..`, or nothing
    return Interpretations((merged,) if merged == kept else (merged, kept), clear)


def _walked(segments: list[str]) -> str:
    walked: list[str] = []
    for segment in segments:
        if segment == "..":
            if walked:
                walked.pop()
        elif segment != ".":
            walked.append(segment)
    return "/" + "/".join(walked)


def _as_on_windows(path: str) -> str:
    """Drop the dots and spaces at the end of each segment."""
    return "/".join(
        each.replace("%20", " ").rstrip(". ").replace(" ", "%20") for each in path.split("/")
    )


def _structure(path: str) -> list[str]:
    """Return the characters that a server may take for more than themselves."""
    return [each for each in path if each in _STRUCTURE]
