"""The output of a build, as Docker and Podman send it: JSON objects with pieces of text. Pure.

Programs that a build runs have written most of it, so lines are cut, kept in small number, and made
harmless before they are shown.
"""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from moat.printable import without_controls

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_KEPT: Final = 20
"""Lines of the current step that are kept, to be shown if it fails."""
_MOST_CHARACTERS: Final = 500
_MOST_BYTES: Final = 1 << 20
"""Bytes of one JSON object."""
_LONGEST_LINE: Final = 1 << 16
"""Characters of a line without an end that are kept."""
# "Step 3/6 : RUN ..." of Docker, "STEP 3/6: RUN ..." of Podman.
_STEP: Final = re.compile(r"STEP (\d{1,4})/\d{1,4} ?: ", re.IGNORECASE)
# The engines' own words beside those of the steps.
_NOISE: Final = re.compile(r"\s*-+> |Removing intermediate container |Successfully (built|tagged) ")
# Docker colours what a program writes to its standard error.
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class StepBegun:
    """The engine begins a line of the recipe."""

    number: int
    """Counted from one."""


@dataclass(frozen=True, slots=True)
class LineWritten:
    """A step has written a line, which is harmless for a terminal."""

    text: str


Event = StepBegun | LineWritten


@dataclass(slots=True)
class BuildOutput:
    """A reader of the stream, which remembers how it ends."""

    error: str = ""
    """The engine's reason why the build has failed; empty where it hasn't."""
    last_lines: deque[str] = field(default_factory=lambda: deque[str](maxlen=_MOST_KEPT))
    """The last lines of the step that came last."""
    _bytes: bytearray = field(default_factory=bytearray)
    _line: str = ""

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take bytes of the stream, and yield what they say. Raises `ValueError` for what isn't JSON."""
        self._bytes += data
        *objects, rest = self._bytes.split(b"\n")
        self._bytes = rest
        if len(rest) > _MOST_BYTES:
            raise ValueError("an object of its output has no end")
        for each in objects:
            if each.strip():
                yield from self._object(json.loads(each))

    def _object(self, value: object) -> Iterator[Event]:
        if not isinstance(value, dict):
            raise ValueError("its output holds something else than objects")  # noqa: TRY004  as bad JSON
        known = cast("dict[str, Any]", value)
        if known.get("error"):
            self.error = _harmless(str(known["error"]).strip())
        if isinstance(text := known.get("stream"), str):
            yield from self._text(text)

    def _text(self, text: str) -> Iterator[Event]:
        *lines, self._line = (self._line + text).split("\n")
        self._line = self._line[-_LONGEST_LINE:]
        for each in lines:
            # What a carriage return overwrites was for the eyes of then.
            shown = _harmless(each.rstrip("\r").rpartition("\r")[2].rstrip())
            if begun := _STEP.match(shown):
                self.last_lines.clear()
                yield StepBegun(int(begun[1]))
            elif shown and not _NOISE.match(shown):
                self.last_lines.append(shown)
                yield LineWritten(shown)


def _harmless(text: str) -> str:
    return without_controls(_COLOUR.sub("", text))[:_MOST_CHARACTERS]
