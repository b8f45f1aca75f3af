"""Typed input, cut into tokens: plain keys, control sequences, reports, pasted text.

Sans-I/O. However the input is cut into reads, the tokens are the same; only `flush`, which the caller
calls when nothing more has come for a while, depends on time.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from moat.keyboard.key_forms import ESC

if TYPE_CHECKING:
    from collections.abc import Iterator

# ECMA-48 5.4: parameters, intermediates, final byte.
_CSI: Final = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
_CSI_BEGINNING: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*)?")
# Longer than any key. A sequence that goes on beyond is taken for Escape and text.
_LONGEST: Final = 64
# Followed by button, column and row, a byte each, which may be any character.
_X10_MOUSE: Final = b"\x1b[M"
_X10_MOUSE_BYTES: Final = 6

_PASTE_BEGINS, _PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"
# Of ECMA-48's strings those that terminals answer with: OSC, DCS, APC. They end with ST or BEL; CAN
# and SUB cancel them, and so does the ESC of anything but ST.
_STRINGS: Final = (b"]", b"P", b"_")
_STRING_END: Final = re.compile(rb"\x1b\\|[\x07\x18\x1a\x1b]")


# Answers among them: to queries of colours and the like, of the version, of capabilities, of pictures.
# (The number of a paste has four digits: OSC 5522.)
_ANSWER: Final = re.compile(
    rb"\x1b(?:\]\d{1,3};[^\x07\x18\x1a\x1b]*+(?:\x07|\x1b\\)"
    rb"|(?:P[0-9;]*[$+!>][rq|]|_G)[^\x07\x18\x1a\x1b]*+\x1b\\)"
)
_ANSWER_BEGINNING: Final = re.compile(
    rb"\x1b(?:\](?:\d{1,3}(?:;[^\x07\x18\x1a\x1b]*+\x1b?)?)?"
    rb"|P[0-9;]*(?:[$+!>](?:[rq|][^\x07\x18\x1a\x1b]*+\x1b?)?)?|_(?:G[^\x07\x18\x1a\x1b]*+\x1b?)?)"
)
# Longer than any that somebody asks for.
_LONGEST_ANSWER: Final = 1024


class TokenKind(Enum):
    PLAIN = auto()
    """Keys, by their legacy bytes: one that is special, or any number that are not."""
    SEQUENCE = auto()
    """A whole control sequence, which may be a key."""
    REPORT = auto()
    """Something else that the terminal sends, or a part of it."""
    ANSWER = auto()
    """A string that answers a query, whole."""
    LITERAL = auto()
    """The program's, whatever it is: pasted text, and what belongs to bytes that it has already."""


Token = tuple[TokenKind, bytes]
# A token, and where in the data the next one begins. The token may be empty.
_Step = tuple[Token, int]


class Tokenizer:
    """Input in, tokens out, which together are the input."""

    def __init__(self, special: bytes, *, pasting: bool = False) -> None:
        """Cut plain keys at the bytes that are `special`, and at ESC.

        With `pasting` the input begins within pasted text.
        """
        self._special = re.compile(b"[" + re.escape(bytes([ESC]) + special) + b"]")
        self._rest = b""
        """The beginning of a sequence at the end of the last read."""
        self._flushed = b""
        """The same, where `flush` has given it away."""
        self._in_string = False
        self._in_paste = pasting
        self._paste_end = b""
        """The part of the paste's end that has come."""

    @property
    def holds_escape(self) -> bool:
        """An ESC is held back, which may be the Escape key or Alt, or begin a sequence."""
        return self._rest in (b"\x1b", *(b"\x1b" + string for string in _STRINGS))

    @property
    def is_within_paste(self) -> bool:
        return self._in_paste

    @property
    def is_within_sequence(self) -> bool:
        return bool(self._rest) or self._in_string

    def feed(self, data: bytes) -> Iterator[Token]:
        data, self._rest = self._rest + data, b""
        position = 0
        while position < len(data):
            token, position = self._step(data, position)
            if token[1]:
                yield token

    def flush(self) -> bytes:
        """Return what is held back: nothing has followed it."""
        rest, self._rest, self._in_string = self._rest, b"", False
        if _CSI_BEGINNING.fullmatch(rest):
            self._flushed = rest
        return rest

    def _step(self, data: bytes, position: int) -> _Step:
        if self._flushed:
            return self._late(data)
        if self._in_paste:
            return self._paste(data, position)
        if self._in_string:
            return self._string(data, position)
        found = self._special.search(data, position)
        start = len(data) if found is None else found.start()
        if start > position:
            return (TokenKind.PLAIN, data[position:start]), start
        if data[position] == ESC:
            return self._escape(data, position)
        return (TokenKind.PLAIN, data[position : position + 1]), position + 1

    def _escape(self, data: bytes, position: int) -> _Step:
        limit = position + _LONGEST
        sequence = _CSI.match(data, position, limit)
        if sequence is not None:
            return self._sequence(data, position, sequence.end())
        if data[position + 1 : position + 2] in _STRINGS:
            limit = position + _LONGEST_ANSWER
            answer = _ANSWER.match(data, position, limit)
            if answer is not None:
                return (TokenKind.ANSWER, answer[0]), answer.end()
            beginning = _ANSWER_BEGINNING.match(data, position, limit)
            if beginning is not None and beginning.end() == len(data) < limit:
                return self._hold(data, position)
            self._in_string = True
            return (TokenKind.REPORT, data[position : position + 2]), position + 2
        beginning = _CSI_BEGINNING.match(data, position, limit)
        if beginning is not None and beginning.end() == len(data) < limit:
            return self._hold(data, position)
        return (TokenKind.PLAIN, b"\x1b"), position + 1

    def _hold(self, data: bytes, position: int) -> _Step:
        """Keep the rest for the next read."""
        self._rest = data[position:]
        return (TokenKind.SEQUENCE, b""), len(data)

    def _sequence(self, data: bytes, position: int, end: int) -> _Step:
        raw = data[position:end]
        if raw == _X10_MOUSE:
            end = position + _X10_MOUSE_BYTES
            if end > len(data):
                return self._hold(data, position)
            return (TokenKind.REPORT, data[position:end]), end
        if raw == _PASTE_BEGINS:
            self._in_paste = True
            return (TokenKind.LITERAL, raw), end
        return (TokenKind.SEQUENCE, raw), end

    def _late(self, data: bytes) -> _Step:
        """The rest of a sequence whose beginning was flushed."""
        before, whole = len(self._flushed), (self._flushed + data)[:_LONGEST]
        self._flushed = b""
        sequence = _CSI.match(whole)
        if sequence is not None:
            self._in_paste = sequence[0] == _PASTE_BEGINS
            end = sequence.end()
        else:
            beginning = _CSI_BEGINNING.match(whole)
            end = before if beginning is None else max(before, beginning.end())
            if end == len(whole) < _LONGEST:
                self._flushed = whole
        return (TokenKind.LITERAL, data[: end - before]), end - before

    def _string(self, data: bytes, position: int) -> _Step:
        """A piece of a string, as it comes."""
        found = _STRING_END.search(data, position)
        if found is None:
            return (TokenKind.REPORT, data[position:]), len(data)
        if found[0] == b"\x1b" and found.end() == len(data):
            self._rest = b"\x1b"  # of ST, or of something else
            return (TokenKind.REPORT, data[position : found.start()]), len(data)
        self._in_string = False
        end = found.start() if found[0] == b"\x1b" else found.end()
        return (TokenKind.REPORT, data[position:end]), end

    def _paste(self, data: bytes, position: int) -> _Step:
        """Pasted text, as it comes. The end of the paste may come in several reads."""
        before = len(self._paste_end)
        tail = self._paste_end + data[position:]
        found = tail.find(_PASTE_ENDS)
        if found >= 0:
            self._in_paste, self._paste_end = False, b""
            end = position + found + len(_PASTE_ENDS) - before
            return (TokenKind.LITERAL, data[position:end]), end
        self._paste_end = next(
            (_PASTE_ENDS[:n] for n in range(len(_PASTE_ENDS) - 1, 0, -1)
             if tail.endswith(_PASTE_ENDS[:n])),
            b"",
        )  # fmt: skip
        return (TokenKind.LITERAL, data[position:]), len(data)
