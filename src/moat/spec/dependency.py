"""The notation of a dependency: `NAME[@VERSION]`, or `KIND:NAME[@VERSION]`. Pure.

A name without a kind is one of Moat's registry (`moat.dependencies`). With a kind it is a package of
that package manager. Names and versions are words, by a grammar in which nothing is an option, a path,
an address or a command: what passes here can stand in any command line. A version may be the beginning
of one: `node@22`, `npm:typescript@5.9`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_CHARACTERS: Final = 200
_WORD: Final = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?"
_PYTHON_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_EXTRAS: Final = rf"\[{_PYTHON_NAME}(?:,{_PYTHON_NAME})*\]"
_PATH_PART: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9._~-]*[A-Za-z0-9_])?"

_NAMES: Final[Mapping[str, str]] = {
    "": _WORD,
    # A minus at the end would have apt-get remove the package.
    "apt": r"[a-z0-9](?:[a-z0-9+.-]*[a-z0-9+])?",
    "npm": rf"(?:@{_WORD}/)?{_WORD}",
    "pip": rf"{_PYTHON_NAME}(?:{_EXTRAS})?",
    "uv": rf"{_PYTHON_NAME}(?:{_EXTRAS})?",
    "cargo": r"[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?",
    "go": rf"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9-]+)+(?:/{_PATH_PART})+",
}
KINDS: Final = tuple(each for each in _NAMES if each)
"""The prefixes, each of which is the name of a package manager."""

_VERSION: Final = r"[A-Za-z0-9](?:[A-Za-z0-9.+~-]*[A-Za-z0-9+])?"
# Debian's versions have an epoch: 1:2.3-4.
_APT_VERSION: Final = r"(?:[0-9]+:)?[A-Za-z0-9](?:[A-Za-z0-9.+~-]*[A-Za-z0-9+])?"


@dataclass(frozen=True, slots=True)
class Dependency:
    """A package that a run's image is to have."""

    kind: str
    """One of `KINDS`, or empty for a name of the registry."""
    name: str
    version: str = ""
    """The version that is wanted, or its beginning; empty for any."""

    @classmethod
    def parse(cls, text: str) -> Dependency:
        """Read the notation. Raises `ValueError`."""
        if len(text) > _MOST_CHARACTERS:
            raise ValueError(f"{text[:40]!r}... is no dependency: it is too long")
        kind, colon, rest = text.partition(":")
        # The colon of an epoch comes after the version's sign: git@1:2.39.
        if not colon or "@" in kind:
            kind, rest = "", text
        elif kind not in KINDS:
            raise ValueError(_unknown_kind(text, kind, rest))
        # The sign of a scope of npm's is the first character: @scope/name@1.
        name, at, version = rest[:1], "", ""
        if rest:
            more, at, version = rest[1:].partition("@")
            name += more
        if not re.fullmatch(_NAMES[kind], name):
            raise ValueError(
                f"{text!r} is no dependency: {name!r} is no name of {_source(kind)}; write it like"
                f" {_EXAMPLES[kind]}"
            )
        pattern = _APT_VERSION if kind == "apt" else _VERSION
        if at and not re.fullmatch(pattern, version):
            raise ValueError(
                f"{text!r} is no dependency: {version!r} is no version; write it like"
                f" {_EXAMPLES[kind]}"
            )
        return cls(kind, name, version)

    def __str__(self) -> str:
        prefix = f"{self.kind}:" if self.kind else ""
        suffix = f"@{self.version}" if self.version else ""
        return f"{prefix}{self.name}{suffix}"


_EXAMPLES: Final[Mapping[str, str]] = {
    "": "node@22",
    "apt": "apt:libpq-dev",
    "npm": "npm:typescript@5",
    "pip": "pip:requests@2",
    "uv": "uv:ruff",
    "cargo": "cargo:cargo-nextest",
    "go": "go:golang.org/x/tools/gopls",
}


def check(text: str) -> None:
    """Check the notation of a dependency. Raises `ValueError`."""
    Dependency.parse(text)


def _source(kind: str) -> str:
    return f"a package of {kind}'s" if kind else "a dependency"


def _unknown_kind(text: str, kind: str, rest: str) -> str:
    import difflib  # noqa: PLC0415  for a mistake alone

    near = difflib.get_close_matches(kind, KINDS, 1)
    if near:
        remedy = f"did you mean {near[0]}:{rest}?"
    elif re.fullmatch(_WORD, kind) and re.fullmatch(_VERSION, rest):
        remedy = f"a version follows @, as in {kind}@{rest}"
    else:
        remedy = f"the kinds are {', '.join(KINDS)}"
    return f"{text!r} is no dependency: there is no kind {kind!r}; {remedy}"
