"""The skeletons of a path: what is left of it on a server that ignores all that any ignores. Pure.

File systems drop streams (`files::$DATA`), dots and spaces at the end of a name, invisible characters
and case; frameworks convert characters, or drop those that they don't know. So many paths lead to the
resource that a rule denies. Each of them has a skeleton in common with the rule (Unicode's UTS 39 has
the word). Only denials look at skeletons: what a rule allows has to be spelt as the rule spells it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.spec.request_path import interpretations

if TYPE_CHECKING:
    from collections.abc import Iterator

_CACHED_LENGTH: Final = 2048
"""The longest target, in characters, that is cached."""
_LONGEST: Final = 4096
"""The longest path, in characters, of which more than one skeleton is made."""
_MOST_STREAMS: Final = 3
"""Segments with a colon, each of which may be a name with a stream, or a name as a whole."""

# Default_Ignorable_Code_Point, and the controls and format characters that don't have this property.
_IGNORED: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\uffff\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# What code pages of Windows take for ASCII ("best fit") although Unicode doesn't, and full stops that
# IDNA takes for one.
_BEST_FIT: Final = {
    ord(each): ascii_
    for ascii_, likes in {
        "/": "\u2215\u2044\u29f8",
        "\\": "\u2216\u29f5\xa5\u20a9",
        ":": "\u2236\u02d0\ua789",
        ".": "\u3002\uff61\xb7\u2219\u22c5",
        "-": "\u2010\u2011\u2012\u2013\u2014\u2212",
        "a": "\u03b1",
        "d": "\u0111\xf0\u03b4",
        "e": "\u03b5",
        "f": "\u03c6",
        "g": "\u03b3",
        "h": "\u0127",
        "l": "\u0142",
        "o": "\xf8\u03c9",
        "p": "\u03c0",
        "s": "\u03c3\u03c2",
        "t": "\u0167\u03c4\u03b8",
        "ae": "\xe6",
        "oe": "\u0153",
        "th": "\xfe",
    }.items()
    for each in likes
}
_ENCODED: Final = re.compile("%([0-9A-F]{2})")
_NOT_PRINTABLE_ASCII: Final = re.compile("[^!-~]")
_STRUCTURE: Final = re.compile(r"[/\\%;?#]")
_WILDCARD: Final = re.compile('["<>*]')
"""Characters that match others in a search for files; on Windows, `<` and `>` do, and `"` is a dot."""
_SHORT_NAME: Final = re.compile(r"[^.~]{1,6}~[0-9]{1,6}(?:\.[^.]{0,3})?")
"""The second name that FAT and NTFS give a file, such as `FILES-~1`."""


class Skeletons(NamedTuple):
    paths: tuple[str, ...]
    """Different paths without structure in their names: neither dot segments nor empty ones."""
    clear: bool
    """No server sees a path of another structure, or a name that can't be known here."""


class _UnclearError(ValueError):
    """A name could be any other."""


def skeletons(target: str) -> Skeletons:
    """Return the skeletons of a request target that has no ambiguity (`request_path`) without them."""
    return _cached(target) if len(target) <= _CACHED_LENGTH else _skeletons(target)


def skeleton_of_rule(path: str) -> str:
    """Return the skeleton of a rule's path, one of `interpretations_of_rule`, with its wildcards."""
    segments = (_folded(each) for each in _decoded(path).split("/")[1:])
    names = (each if "*" in each else each.strip(" +").rstrip(". +") for each in segments)
    return "/" + "/".join(each for each in names if each)


def _skeletons(target: str) -> Skeletons:
    found: dict[str, None] = {}
    try:
        for path in _bases(target):
            for spelling in _spellings(path):
                found |= dict.fromkeys(_without_streams(spelling))
    except _UnclearError:
        return Skeletons((), clear=False)
    return Skeletons(tuple(found), clear=True)


_cached = lru_cache(maxsize=1024)(_skeletons)


def _bases(target: str) -> Iterator[str]:
    """Yield the paths that skeletons are made of."""
    yield from interpretations(target).paths
    if target.startswith("//"):
        # A server that takes this for a URL without a scheme (RFC 3986 4.2) sees a host at its start.
        yield "/" + interpretations(target).paths[0].lstrip("/").partition("/")[2]


def _spellings(path: str) -> Iterator[list[str]]:
    """Yield the names of a path, as servers may convert or drop their characters."""
    names = [_folded(each) for each in _decoded(path).split("/")[1:]]
    yield names
    if path.isascii() and "%" not in path:
        return
    if len(path) > _LONGEST:
        raise _UnclearError
    fitted = [_fitted(each) for each in names]
    yield fitted
    for spelling in (names, fitted):
        dropped = [_NOT_PRINTABLE_ASCII.sub("", each) for each in spelling]
        if all(dropped):  # else every name in another script would be none at all
            yield dropped


def _without_streams(names: list[str]) -> Iterator[str]:
    """Yield the paths of these names; `name:stream` is one name, or one with a stream (NTFS)."""
    if any(_STRUCTURE.search(each) or _WILDCARD.search(each) for each in names):
        raise _UnclearError
    choices = [(each, each.partition(":")[0]) if ":" in each else (each,) for each in names]
    streams = sum(map(len, choices)) - len(names)
    if streams > _MOST_STREAMS or (streams and sum(map(len, names)) > _LONGEST):
        raise _UnclearError
    for chosen in product(*choices):
        yield "/" + "/".join(name for name in map(_trimmed, chosen) if name)


def _trimmed(name: str) -> str:
    """Drop what file systems and form decoding drop at the ends of a name."""
    name = name.strip(" +")
    trimmed = name.rstrip(". +")
    if (name and not trimmed) or _SHORT_NAME.fullmatch(trimmed):
        raise _UnclearError  # it has become a dot segment, or stands for another name
    return trimmed


def _folded(name: str) -> str:
    """Fold case and equivalent characters (NFKC_Casefold, Unicode 3.13), after both ways of casing."""
    if name.isascii():
        return name.lower()
    name = unicodedata.normalize("NFKC", _IGNORED.sub("", name))
    return unicodedata.normalize("NFKC", _IGNORED.sub("", name.upper().casefold()))


def _fitted(name: str) -> str:
    """Replace letters by what they look like in ASCII: without accents, most of all."""
    decomposed = unicodedata.normalize("NFKD", name)
    plain = "".join(each for each in decomposed if not unicodedata.combining(each))
    return plain.translate(_BEST_FIT)


def _decoded(path: str) -> str:
    """Decode what is still encoded in a path of `request_path`: characters that URLs don't contain."""
    return _ENCODED.sub(lambda match: chr(int(match[1], 16)), path)
