"""The path of a request, in each way in which a server may understand it. Pure.

A rule about paths is worth what the worst of these is: where one of them is denied, the request is;
where servers could see what can't be told here (an encoded slash, bytes that are no UTF-8), it is not
clear, and denied as well.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

_KNOWN_LENGTH: Final = 2048
"""Characters of a target that is worth remembering: a hostile program has many that are longer."""
_ENCODED: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_BEYOND_ASCII: Final = re.compile(r"(?:%[89A-F][0-9A-F])+")
_RESERVED: Final = re.compile(r"[\x00-\x20\"<>\[\]^`{|}\x7f]")
_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@"
)
_STRUCTURE: Final = frozenset("/\\%;?#.")
_PARAMETERS: Final = re.compile(r";[^/]*")


class Understood(NamedTuple):
    paths: tuple[str, ...]
    """Different ones; the first is the usual one. Without a slash at the end, parameters and query."""
    clear: bool
    """No server sees anything else."""


def understood(target: str) -> Understood:
    """A request target, as servers may see it.

    One form for all spellings (RFC 3986 6.2.2): characters stand for themselves where they may, dot
    segments are resolved. An empty segment counts for some servers and not for others; Windows drops
    dots and spaces at the end of a segment; some fold full-width characters and ligatures.
    """
    return _known(target) if len(target) <= _KNOWN_LENGTH else _understood(target)


def spellings(path: str) -> Understood:
    """Of a rule's path: it means what is written, and only empty segments may be meant in two ways."""
    plain, clear = _decoded(path.partition("?")[0].partition("#")[0])
    plain, whole = _without_parameters(plain)
    forms = _resolved(plain)
    return Understood(forms.paths, clear and whole and forms.clear)


def _understood(target: str) -> Understood:
    path, clear = _decoded(target.partition("?")[0].partition("#")[0])
    path, whole = _without_parameters(path)
    paths = [path]
    if not path.isascii():
        folded = unicodedata.normalize("NFKC", path)
        clear = clear and _structure(folded) == _structure(path)
        paths.append(folded)
    found: list[str] = []
    for each in paths:
        resolved = _resolved(each)
        clear = clear and resolved.clear
        found += resolved.paths
    found += [_as_windows_has_it(each) for each in found]
    return Understood(tuple(dict.fromkeys(found)), clear and whole)


_known = lru_cache(maxsize=1024)(_understood)


def _decoded(path: str) -> tuple[str, bool]:
    """An encoded slash or zero, a backslash, a double encoding, or one that is none, is not clear."""
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
        except UnicodeDecodeError:  # overlong forms, too: %C0%AE is a dot to some
            clear = False
            return match[0]

    path = _ENCODED.sub(decode, path)
    path = _RESERVED.sub(lambda match: f"%{ord(match[0]):02X}", path)
    return _BEYOND_ASCII.sub(characters, path), clear


def _without_parameters(path: str) -> tuple[str, bool]:
    """To some servers `;x` is a part of its segment; and behind it, `..` is none."""
    return (_PARAMETERS.sub("", path), False) if ";" in path else (path, True)


def _resolved(path: str) -> Understood:
    segments = path.split("/")[1:]
    if segments and not segments[-1]:
        del segments[-1]
    merged, kept, clear = _walked([each for each in segments if each]), _walked(segments), True
    if "" in segments:
        # What the dots take away is the empty segment (RFC 3986 5.2.4), or the one before it.
        clear = ".." not in segments[segments.index("") :]
    if any(each not in {"", ".", ".."} and not _as_windows_has_it(each) for each in segments):
        clear = False  # `...`, `..%20`: to Windows these are `..`, or nothing
    return Understood((merged,) if merged == kept else (merged, kept), clear)


def _walked(segments: list[str]) -> str:
    walked: list[str] = []
    for segment in segments:
        if segment == "..":
            if walked:
                walked.pop()
        elif segment != ".":
            walked.append(segment)
    return "/" + "/".join(walked)


def _as_windows_has_it(path: str) -> str:
    return "/".join(
        each.replace("%20", " ").rstrip(". ").replace(" ", "%20") for each in path.split("/")
    )


def _structure(path: str) -> list[str]:
    return [each for each in path if each in _STRUCTURE]
