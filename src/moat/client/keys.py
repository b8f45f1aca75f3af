"""The keys of an attached terminal: which bytes are for the program, and which for us.

Sans-I/O. What the user types is cut into keys; a key may come as the byte of old, or as an escape
sequence: kitty's `CSI code ; modifiers u` (with event types, alternate keys and lock bits) and
xterm's modifyOtherKeys `CSI 27 ; modifiers ; code ~`. The escape prefix is recognised in every form.
Inside a bracketed paste nothing is a key. Whatever the sizes of the reads, bytes and actions are
those of one byte at a time; only `timeout` depends on time, and the caller holds the clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from moat.errors import UsageError


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for the program."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Detach:
    """Prefix, d."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Prefix, k."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Prefix, s."""


@dataclass(frozen=True, slots=True)
class Help:
    """Prefix, ?."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Ctrl-C, where the program takes no input."""


Action = Send | Detach | Stop | Snapshot | Help | Interrupt

_ACTIONS: Final[dict[int, Action]] = {
    ord("d"): Detach(),
    ord("k"): Stop(),
    ord("s"): Snapshot(),
    ord("?"): Help(),
}

# A prefix whose second key does not come is the program's after this; a person's second key does.
PREFIX_TIMEOUT_S: Final = 0.5
# An escape sequence comes in one piece, or nearly so; the Escape key alone must not feel slow.
ESCAPE_TIMEOUT_S: Final = 0.025

_CTRL_C: Final = 0x03
_ESC: Final = 0x1B
_PASTE_BEGINS, _PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"
# ECMA-48 5.4: parameters, intermediates, final byte.
_CSI: Final = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
_CSI_BEGINS: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*)?\Z")
_KITTY: Final = re.compile(rb"\x1b\[(\d+)(?::(\d*))?(?::\d*)?(?:;(\d*)(?::(\d+))?)?(?:;[\d:]*)?u")
_OTHER_KEYS: Final = re.compile(rb"\x1b\[27;(\d+);(\d+)~")
# Longer than any key; a sequence that never ends is no key.
_LONGEST: Final = 64

# kitty keyboard protocol, "Modifiers": the value less one is a bit field.
_SHIFT, _CTRL, _LOCKS = 1, 4, 64 | 128
_RELEASE: Final = 3
# Left shift to right meta and the locks: pressed on the way to a key, they are none.
_MODIFIER_KEYS: Final = frozenset((*range(57441, 57455), *range(57358, 57361)))


@dataclass(frozen=True, slots=True)
class EscapeKeys:
    """The prefix, as the bytes of old: one for each key."""

    prefix: bytes


def parse_escape_keys(spec: str) -> EscapeKeys | None:
    """`ctrl-/`, `ctrl-p,ctrl-q`, `~`; `''` and `none` switch the keys off. Raises `UsageError`."""
    if spec in ("", "none"):
        return None
    return EscapeKeys(bytes(_parse_key(each.strip(), spec) for each in spec.split(",")))


def _parse_key(text: str, spec: str) -> int:
    if len(text) == 1 and 0x20 <= ord(text) < 0x7F:
        return ord(text)
    name, _, key = text.lower().partition("-")
    if name in ("ctrl", "c") and key:
        control = _control(" " if key == "space" else key)
        if control is not None and control != _ESC:
            return control
    raise UsageError(
        f"{text!r} in escape keys {spec!r} is not a key",
        "Write keys like ctrl-/ or ctrl-p,ctrl-q (ctrl- with a letter or one of @ \\ ] ^ _ / space)",
    )


def _control(key: str) -> int | None:
    """The byte that Ctrl makes of a key: ASCII's, and `/` and space as terminals have them."""
    key = {"/": "_", " ": "@"}.get(key, key).upper()
    return ord(key) - 64 if len(key) == 1 and "@" <= key <= "_" else None


@dataclass(frozen=True, slots=True)
class _Key:
    """One key as it came, and the byte of old that it stands for (`None`: for none)."""

    raw: bytes
    byte: int | None
    released: bool = False
    transparent: bool = False
    """A modifier on its way to the next key."""


class KeyMachine:
    """Keys in, actions out."""

    def __init__(self, keys: EscapeKeys | None, *, interrupts: bool = False) -> None:
        """With `interrupts` the program takes no input: Ctrl-C is an action, the rest is dropped."""
        self._prefix = b"" if keys is None else keys.prefix
        self._interrupts = interrupts
        first = bytes([_ESC, *self._prefix[:1], *([_CTRL_C] if interrupts else [])])
        self._interesting = re.compile(b"[" + re.escape(first) + b"]")
        self._rest = b""
        """The beginning of an escape sequence at the end of the last read."""
        self._held: list[_Key] = []
        """Keys of the prefix, with what came between them."""
        self._second: list[_Key] = []
        """The same of a prefix that follows a complete one."""
        self._matched = 0
        self._matched_again = 0
        self._pasting = False
        self._taken: set[int] = set()
        """Keys whose press was an action of ours: their release is ours, too."""
        self._finished = False
        self._actions: list[Action] = []

    @property
    def pending(self) -> bool:
        """Something is held back; call `timeout` after `patience` seconds without input."""
        return bool(self._rest or self._held)

    @property
    def patience(self) -> float:
        return PREFIX_TIMEOUT_S if self._held else ESCAPE_TIMEOUT_S

    def feed(self, data: bytes) -> list[Action]:
        """What to do, in order. After a `Detach` the rest is discarded, now and later."""
        data, self._rest = self._rest + data, b""
        position = 0
        while position < len(data) and not self._finished:
            step = self._paste if self._pasting else self._next
            position = step(data, position)
        return self._flush()

    def timeout(self) -> list[Action]:
        """Nothing followed: what is held back is the program's."""
        rest, self._rest = self._rest, b""
        self._release_held()
        self._send(rest)
        return self._flush()

    def end(self) -> list[Action]:
        """The end of the input, by which nothing can follow."""
        return self.timeout()

    # --- cutting ---

    def _next(self, data: bytes, position: int) -> int:
        """Handles the key at `position`, or the run of plain bytes there; where the next begins."""
        if not self._held:
            found = self._interesting.search(data, position)
            start = len(data) if found is None else found.start()
            self._send(data[position:start])
            if found is None:
                return start
            position = start
        if data[position] != _ESC:
            self._key(_Key(data[position : position + 1], data[position]))
            return position + 1
        sequence = _CSI.match(data, position, position + _LONGEST)
        if sequence is None:
            if _CSI_BEGINS.match(data, position) and len(data) - position < _LONGEST:
                self._rest = data[position:]
                return len(data)
            self._key(_Key(data[position : position + 1], _ESC))
            return position + 1
        self._sequence(sequence[0])
        return sequence.end()

    def _sequence(self, raw: bytes) -> None:
        if raw == _PASTE_BEGINS:
            self._release_held()
            self._send(raw)
            self._pasting = True
        else:
            self._key(_decode(raw))

    def _paste(self, data: bytes, position: int) -> int:
        """Passes all up to the end of the paste; an end that may be cut in two is held back."""
        end = data.find(_PASTE_ENDS, position)
        if end >= 0:
            self._pasting = False
            end += len(_PASTE_ENDS)
            self._send(data[position:end])
            return end
        for length in range(min(len(_PASTE_ENDS) - 1, len(data) - position), 0, -1):
            if data.endswith(_PASTE_ENDS[:length]):
                self._send(data[position : len(data) - length])
                self._rest = data[len(data) - length :]
                return len(data)
        self._send(data[position:])
        return len(data)

    # --- deciding ---

    def _key(self, key: _Key) -> None:
        if key.transparent or key.released:
            self._aside(key)
        elif self._interrupts and key.byte == _CTRL_C:
            self._release_held()
            self._actions.append(Interrupt())
        elif self._matched < len(self._prefix) or not self._prefix:
            self._match(key)
        else:
            self._after_prefix(key)

    def _aside(self, key: _Key) -> None:
        """A release, or a modifier: follows the key that it belongs to."""
        if key.released and key.byte in self._taken:
            self._taken.discard(key.byte)
        elif self._second:
            self._second.append(key)
        elif self._held:
            self._held.append(key)
        else:
            self._send(key.raw)

    def _match(self, key: _Key) -> None:
        if self._prefix and key.byte == self._prefix[self._matched]:
            self._held.append(key)
            self._matched += 1
        elif self._held:
            # Not the prefix. Its first key is the program's; the others may begin one themselves.
            first, *others = self._held
            self._held, self._matched = [], 0
            self._send(first.raw)
            for each in (*others, key):
                self._key(each)
        else:
            self._send(key.raw)

    def _after_prefix(self, key: _Key) -> None:
        if key.byte == self._prefix[self._matched_again]:
            self._second.append(key)
            self._matched_again += 1
            if self._matched_again == len(self._prefix):
                literal = self._second
                self._forget()
                self._send(b"".join(each.raw for each in literal))
        elif key.byte in _ACTIONS and not self._second:
            self._take(key, _ACTIONS[key.byte])
        else:
            self._release_held()
            self._send(key.raw)

    def _take(self, key: _Key, action: Action) -> None:
        released = {each.byte for each in self._held if each.released}
        self._taken |= {
            each.byte for each in (*self._held, key) if each.byte is not None
        } - released
        # Releases are reported to those who asked for sequences; then also of keys that came as text.
        if not any(len(each.raw) > 1 for each in (*self._held, key)):
            self._taken.clear()
        self._forget()
        self._actions.append(action)
        self._finished = isinstance(action, Detach)

    def _release_held(self) -> None:
        held = self._held + self._second
        self._forget()
        self._send(b"".join(each.raw for each in held))

    def _forget(self) -> None:
        self._held, self._second = [], []
        self._matched = self._matched_again = 0

    # --- collecting ---

    def _send(self, data: bytes) -> None:
        if not data or self._interrupts:
            return
        last = self._actions[-1] if self._actions else None
        if isinstance(last, Send):
            self._actions[-1] = Send(last.data + data)
        else:
            self._actions.append(Send(data))

    def _flush(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions


def _decode(raw: bytes) -> _Key:
    """A key from its escape sequence; sequences that are no character stand for no byte."""
    kitty = _KITTY.fullmatch(raw)
    if kitty is not None:
        code, shifted = int(kitty[1]), int(kitty[2] or 0)
        modifiers = (int(kitty[3] or 1) - 1) & ~_LOCKS
        released = int(kitty[4] or 1) == _RELEASE
        if code in _MODIFIER_KEYS:
            return _Key(raw, None, transparent=True)
        return _Key(raw, _byte(code, shifted, modifiers), released)
    other = _OTHER_KEYS.fullmatch(raw)
    if other is not None:
        return _Key(raw, _byte(int(other[2]), 0, (int(other[1]) - 1) & ~_LOCKS))
    return _Key(raw, None)


def _byte(code: int, shifted: int, modifiers: int) -> int | None:
    """The byte of old for a key's code point, the one it has with shift (0: unknown), and modifiers."""
    if code >= 0x7F or modifiers & ~(_SHIFT | _CTRL):
        return None
    if modifiers & _SHIFT:
        # Without the alternate key we know the layout of none but the most common keyboards.
        code = shifted or {ord("/"): ord("?"), ord("-"): ord("_")}.get(code, ord(chr(code).upper()))
    if modifiers & _CTRL:
        return _control(chr(code)) if code < 0x7F else None
    return code
