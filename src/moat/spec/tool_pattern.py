"""Patterns for calls of tools: `TOOL [ARGUMENT=VALUE]...`. Pure.

    get_*                   every tool whose name begins so
    create_issue team=ENG   this tool, if its argument `team` is that text
    run "query=SELECT *"    quotes as in a shell, around what has spaces

A star stands for any text, the empty one too. An argument is compared as a text, a number, true, false
or null, as JSON writes it. A list or an object has no such form, and an argument can be missing: what
allows a call doesn't match then. What denies a call does match a list or an object, and takes a capital
letter for a small one and 10.0 for 10, since servers may do so.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_HINT: Final = "Write TOOL, or TOOL ARGUMENT=VALUE; a star is any text: get_*"


@dataclass(frozen=True, slots=True)
class ToolPattern:
    text: str
    """The pattern as it was written."""
    denies: bool
    _tool: str
    _arguments: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str, *, denies: bool = False) -> ToolPattern:
        """Parse a pattern. Raises `UsageError` that quotes it."""
        try:
            tool, *rest = shlex.split(text)
        except ValueError:
            raise UsageError(f"{text!r} is not a pattern for tools", _HINT) from None
        arguments: list[tuple[str, str]] = []
        for each in rest:
            name, equals, value = each.partition("=")
            if not name or not equals:
                raise UsageError(f"{text!r}: {each!r} is not ARGUMENT=VALUE", _HINT)
            arguments.append((name, value))
        if not tool:
            raise UsageError(f"{text!r} names no tool", _HINT)
        return cls(text, denies, tool, tuple(arguments))

    def matches(self, tool: str, arguments: Mapping[str, object]) -> bool:
        """Tell whether a call is meant."""
        return self._is(tool, self._tool) and all(
            self._argument_matches(arguments, name, pattern) for name, pattern in self._arguments
        )

    def _argument_matches(self, arguments: Mapping[str, object], name: str, pattern: str) -> bool:
        found = [value for key, value in arguments.items() if self._is_name(key, name)]
        return any(self._value_matches(value, pattern) for value in found)

    def _is_name(self, key: str, name: str) -> bool:
        return key.casefold() == name.casefold() if self.denies else key == name

    def _value_matches(self, value: object, pattern: str) -> bool:
        if isinstance(value, list | dict):
            return self.denies
        if isinstance(value, str):
            return self._is(value, pattern)
        return self._is(json.dumps(value), pattern) or (self.denies and _number_is(value, pattern))

    def _is(self, text: str, pattern: str) -> bool:
        return _glob(text.casefold(), pattern.casefold()) if self.denies else _glob(text, pattern)


def _number_is(value: object, pattern: str) -> bool:
    """Tell whether a number is the one in a pattern, however both are written: 10, 10.0, 1e1."""
    try:
        return isinstance(value, int | float) and value == float(pattern)
    except ValueError:
        return False


def _glob(text: str, pattern: str) -> bool:
    """Tell whether a text is what a pattern with stars means, in time that grows with the text alone."""
    first, *others = pattern.split("*")
    if not others:
        return text == first
    if not text.startswith(first):
        return False
    *between, last = others
    place = len(first)
    for part in between:
        found = text.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return len(text) - len(last) >= place and text.endswith(last)
