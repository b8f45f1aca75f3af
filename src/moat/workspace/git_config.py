"""Git's configuration format (git-config(1), "Syntax"): parse and render. Pure.

Git reads the format leniently, and so could read a hostile file differently than we do. That is why
`parse` says whether git would read the file to its end, and why a configuration that a run may have
written is rendered anew unless it is canonical.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Entry:
    """`[section "subsection"] key = value`; section and key in lower case, as git compares them."""

    section: str
    subsection: str | None
    key: str
    value: str
    """A key alone means `true`."""

    @property
    def name(self) -> str:
        """The variable's name with a star for the subsection, as git's documentation writes it."""
        middle = "" if self.subsection is None else "*."
        return f"{self.section}.{middle}{self.key}"

    @property
    def full_name(self) -> str:
        """The variable's name, as `git config --list` prints it."""
        middle = "" if self.subsection is None else f"{self.subsection}."
        return f"{self.section}.{middle}{self.key}"


class _BadLineError(Exception):
    """Git refuses the file at this place."""


def parse(text: str) -> tuple[list[Entry], bool]:
    """Return the entries, and whether git would read the text to its end."""
    entries: list[Entry] = []
    try:
        for entry in _Parser(text).entries():
            entries.append(entry)  # noqa: PERF402  what came before a bad line is kept
    except _BadLineError:
        return entries, False
    return entries, True


def render(entries: Iterable[Entry]) -> str:
    """Return the text of a configuration with these entries."""
    lines: list[str] = []
    header = ""
    for entry in entries:
        wanted = f"[{entry.section}]"
        if entry.subsection is not None:
            wanted = f'[{entry.section} "{_escape(entry.subsection)}"]'
        if wanted != header:
            lines.append(header := wanted)
        value = _escape(entry.value).replace("\n", "\\n").replace("\t", "\\t")
        lines.append(f'\t{entry.key} = "{value}"')
    return "".join(f"{line}\n" for line in lines)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


_CANONICAL: Final = re.compile(
    r"(?:\[[a-z]+(?: \"[\w./-]+\")?\]\n"
    r"|\t[A-Za-z][A-Za-z0-9-]* = [\w.,:/@+*~-]+(?: [\w.,:/@+*~-]+)*\n)*+",
    re.ASCII,
)


def is_canonical(text: str) -> bool:
    """Return whether git itself would write every line so: then all readers agree on its meaning."""
    return _CANONICAL.fullmatch(text) is not None


_HEADER: Final = re.compile(
    r"\[(?P<section>[A-Za-z0-9.-]+)(?:[ \t]+\"(?P<subsection>(?:[^\"\\\n]|\\[^\n])*)\")?\]"
)
_KEY: Final = re.compile(r"(?P<key>[A-Za-z][A-Za-z0-9-]*)[ \t]*(?P<equals>=)?")
_ESCAPES: Final = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self._at = 0

    def entries(self) -> Iterator[Entry]:
        """Yield entry by entry; raises `_BadLineError` where git refuses the text."""
        section: tuple[str, str | None] | None = None
        while self._at < len(self._text):
            here = self._text[self._at]
            if here.isspace():
                self._at += 1
            elif here in "#;":
                self._skip_line()
            elif here == "[":
                section = self._header()
            elif section is None:
                raise _BadLineError
            else:
                yield Entry(*section, *self._entry())

    def _header(self) -> tuple[str, str | None]:
        match = self._match(_HEADER)
        section, subsection = match["section"].lower(), match["subsection"]
        if subsection is not None:
            return section, re.sub(r"\\(.)", r"\1", subsection)
        first, dot, rest = section.partition(".")
        return first, rest if dot else None

    def _entry(self) -> tuple[str, str]:
        match = self._match(_KEY)
        if match["equals"]:
            return match["key"].lower(), self._value()
        if self._at < len(self._text) and self._text[self._at] != "\n":
            raise _BadLineError
        return match["key"].lower(), "true"

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _BadLineError
        self._at = match.end()
        return match

    def _value(self) -> str:
        # `end` is where the value ends without the unquoted spaces that may follow it.
        value, end, quoted = "", 0, False
        while self._at < len(self._text) and (here := self._text[self._at]) != "\n":
            self._at += 1
            if here == "\\":
                value += self._escaped()
                end = len(value)
            elif here == '"':
                quoted = not quoted
                end = len(value)
            elif not quoted and here in "#;":
                self._skip_line()
            elif quoted or not here.isspace():
                value += here
                end = len(value)
            elif value:
                value += here
        if quoted:
            raise _BadLineError
        return value[:end]

    def _escaped(self) -> str:
        escaped = self._text[self._at : self._at + 1]
        self._at += 1
        if escaped == "\n":
            return ""
        if escaped not in _ESCAPES:
            raise _BadLineError
        return _ESCAPES[escaped]

    def _skip_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end
