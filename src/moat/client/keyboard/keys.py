"""The keys of an attached terminal: which bytes are for the program, and which for us.

Sans-I/O. What the user types is cut into keys (`key_forms`), and the escape prefix is recognised in
every form that terminals have for it. What is no key is never taken for one: pasted text, and what a
program can make a terminal send, such as answers, focus and mouse reports. These may come between the
prefix and the key that follows it.

Whatever the sizes of the reads, bytes and actions are those of one byte at a time; only `timeout`
depends on time, and the caller holds the clock. Ordinary bytes are never held back. An ESC that ends
a read is, for `ESCAPE_TIMEOUT_S`: the Escape key by itself feels immediate, and a sequence in two
reads is whole for the program and for us. Where the rest comes later still, the program gets it as
it comes, and the beginning of a paste counts nevertheless.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from moat.client.keyboard.key_forms import (
    ACTION_KEYS,
    CSI,
    CSI_BEGINNING,
    ESC,
    LONGEST,
    X10_MOUSE,
    X10_MOUSE_BYTES,
    EscapeKeys,
    Key,
    beside_keys,
    decode,
    parse_escape_keys,
    plain_key,
)

__all__ = [
    "Action",
    "Detach",
    "EscapeKeys",
    "Help",
    "Interrupt",
    "KeyMachine",
    "Send",
    "Snapshot",
    "Stop",
    "parse_escape_keys",
]


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

_ACTIONS: Final[dict[int, Action]] = dict(
    zip(ACTION_KEYS, (Detach(), Stop(), Snapshot(), Help()), strict=True)
)

# A prefix whose second key does not come is the program's after this; a person's second key does.
PREFIX_TIMEOUT_S: Final = 0.5
# Escape alone must not feel slow: tmux waits 10 ms, vim 100.
ESCAPE_TIMEOUT_S: Final = 0.025
# Nobody waits for what has begun as a sequence. But Alt-] and the like look like the beginning of an
# answer, and must not keep the prefix from being one for longer than a hand takes to get there.
SEQUENCE_TIMEOUT_S: Final = 0.1

_CTRL_C: Final = 0x03
_PASTE_BEGINS, _PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"
# Of ECMA-48's strings those that terminals answer with: OSC, DCS, APC. They end with ST or BEL; CAN
# and SUB cancel them, and so does the ESC of anything but ST.
_STRINGS: Final = (b"]", b"P", b"_")
_STRING_END: Final = re.compile(rb"\x1b\\|[\x07\x18\x1a\x1b]")
# A program that has the terminal report without end must not make us hold without end.
_MOST_HELD: Final = 4096


class KeyMachine:
    """Keys in, actions out."""

    def __init__(self, keys: EscapeKeys | None, *, interrupts: bool = False) -> None:
        """With `interrupts` the program takes no input: Ctrl-C is an action, the rest is dropped."""
        self._prefix = b"" if keys is None else keys.prefix
        self._interrupts = interrupts
        first = bytes([ESC, *self._prefix[:1], *([_CTRL_C] if interrupts else [])])
        self._interesting = re.compile(b"[" + re.escape(first) + b"]")
        self._rest = b""
        """The beginning of a sequence at the end of the last read."""
        self._passed = b""
        """The same, when it was the program's by `timeout`."""
        self._in_string = False
        self._in_paste = False
        self._paste_end = b""
        """So much of the end of the paste has been seen."""
        self._held: list[Key] = []
        """Keys of the prefix once or twice, with what came beside them."""
        self._matched = 0
        """How many of them are the prefix's."""
        self._taken: set[int | None] = set()
        """Keys whose press was ours: their repeats and their release are ours, too."""
        self._finished = False
        self._pieces: list[bytes] = []
        self._actions: list[Action] = []

    @property
    def pending(self) -> bool:
        """Time matters: call `timeout` after `patience` seconds without input."""
        return bool(self._rest or self._held or self._in_string)

    @property
    def patience(self) -> float:
        if self._rest == b"\x1b":
            return ESCAPE_TIMEOUT_S
        return SEQUENCE_TIMEOUT_S if self._rest or self._in_string else PREFIX_TIMEOUT_S

    def feed(self, data: bytes) -> list[Action]:
        """What to do, in order. After a `Detach` the rest is discarded, now and later."""
        if not self._prefix and not self._interrupts:
            return [Send(data)] if data else []
        data, self._rest = self._rest + data, b""
        position = self._late(data) if self._passed else 0
        while position < len(data) and not self._finished:
            position = self._step(data, position)
        return self._flush()

    def timeout(self) -> list[Action]:
        """Nothing followed: what is held back is the program's."""
        self._give_up()
        if CSI_BEGINNING.fullmatch(self._rest):
            self._passed = self._rest
        self._send(self._rest)
        self._rest, self._in_string = b"", False
        return self._flush()

    def end(self) -> list[Action]:
        """The end of the input, by which nothing can follow."""
        return self.timeout()

    # --- cutting: each handles what begins at `position`, and tells where the next begins ---

    def _step(self, data: bytes, position: int) -> int:
        if self._in_paste:
            return self._paste(data, position)
        if self._in_string:
            return self._string(data, position)
        if not self._held:
            found = self._interesting.search(data, position)
            start = len(data) if found is None else found.start()
            if start > position:
                self._send(data[position:start])
                return start
        if data[position] == ESC:
            return self._escape(data, position)
        self._key(plain_key(data[position]))
        return position + 1

    def _escape(self, data: bytes, position: int) -> int:
        limit = position + LONGEST
        sequence = CSI.match(data, position, limit)
        if sequence is not None:
            return self._sequence(data, position, sequence.end())
        if data[position + 1 : position + 2] in _STRINGS:
            self._in_string = True
            self._aside(beside_keys(data[position : position + 2]))
            return position + 2
        beginning = CSI_BEGINNING.match(data, position, limit)
        if beginning is not None and beginning.end() == len(data) < limit:
            self._rest = data[position:]
            return len(data)
        self._key(plain_key(ESC))
        return position + 1

    def _sequence(self, data: bytes, position: int, end: int) -> int:
        raw = data[position:end]
        if raw == X10_MOUSE:
            end = position + X10_MOUSE_BYTES
            if end > len(data):
                self._rest = data[position:]
                return len(data)
            self._aside(beside_keys(data[position:end]))
        elif raw == _PASTE_BEGINS:
            self._give_up()
            self._send(raw)
            self._in_paste = True
        elif self._held or raw[-1:] in (b"u", b"~"):
            self._key(decode(raw))
        else:
            self._deliver(beside_keys(raw))  # no other finals have a prefix or Ctrl-C
        return end

    def _late(self, data: bytes) -> int:
        """The rest of a sequence whose beginning the program has: it is the program's, too."""
        seen, whole = len(self._passed), (self._passed + data)[:LONGEST]
        self._passed = b""
        sequence = CSI.match(whole)
        if sequence is not None:
            self._in_paste = sequence[0] == _PASTE_BEGINS
            end = sequence.end()
        else:
            beginning = CSI_BEGINNING.match(whole)
            end = seen if beginning is None else max(seen, beginning.end())
            if end == len(whole) < LONGEST:
                self._passed = whole
        self._send(data[: end - seen])
        return end - seen

    def _string(self, data: bytes, position: int) -> int:
        """An answer of the terminal's: passes as it comes, and is no key."""
        found = _STRING_END.search(data, position)
        if found is None:
            end = len(data)
        elif found[0] == b"\x1b" and found.end() == len(data):
            self._rest = b"\x1b"
            end = found.start()
        else:
            self._in_string = False
            end = found.start() if found[0] == b"\x1b" else found.end()
        if end > position:
            self._aside(beside_keys(data[position:end]))
        return len(data) if self._rest else end

    def _paste(self, data: bytes, position: int) -> int:
        """All passes, and at once; that it ends may be seen over several reads."""
        seen = len(self._paste_end)
        tail = self._paste_end + data[position:]
        found = tail.find(_PASTE_ENDS)
        if found >= 0:
            self._in_paste, self._paste_end = False, b""
            end = position + found + len(_PASTE_ENDS) - seen
            self._send(data[position:end])
            return end
        self._paste_end = next(
            (_PASTE_ENDS[:n] for n in range(len(_PASTE_ENDS) - 1, 0, -1)
             if tail.endswith(_PASTE_ENDS[:n])),
            b"",
        )  # fmt: skip
        self._send(data[position:])
        return len(data)

    # --- deciding ---

    def _key(self, key: Key) -> None:
        if self._finished:
            return
        if key.pressed:
            self._taken.discard(key.code)
            self._press(key)
        else:
            self._aside(key)

    def _aside(self, key: Key) -> None:
        """What is no press: stays in its place among the keys, and changes nothing."""
        if key.code is not None and key.code in self._taken:
            if key.released:
                self._taken.discard(key.code)
        elif self._held:
            self._held.append(key)
            if sum(len(each.raw) for each in self._held) > _MOST_HELD:
                self._give_up()
        else:
            self._deliver(key)

    def _press(self, key: Key) -> None:
        length = len(self._prefix)
        if length and key.byte == self._prefix[self._matched % length]:
            self._held.append(key)
            self._matched += 1
            if self._matched == 2 * length:
                self._literal()
        elif length and self._matched == length and key.byte in _ACTIONS:
            self._act(key, _ACTIONS[key.byte])
        elif self._held:
            self._not_ours(key)
        else:
            self._deliver(key)

    def _not_ours(self, key: Key) -> None:
        """What is held is the program's: a whole prefix, or its first key. The rest may begin anew."""
        theirs = len(self._prefix) if self._matched >= len(self._prefix) else 1
        keys = [*self._held, key]
        self._forget()
        for each in keys:
            if theirs:
                self._deliver(each)
                theirs -= each.pressed
            else:
                self._key(each)

    def _literal(self) -> None:
        """The prefix twice: the second goes to the program, as it came."""
        presses = [index for index, each in enumerate(self._held) if each.pressed]
        second = presses[len(self._prefix)]
        ours, theirs = self._held[:second], self._held[second:]
        self._forget()
        for each in (*_not_of(ours), *theirs):
            self._deliver(each)

    def _act(self, key: Key, action: Action) -> None:
        held = self._held
        self._forget()
        for each in _not_of(held):
            self._deliver(each)
        released = {each.code for each in held if each.released}
        self._taken |= {each.code for each in held if each.pressed} - released | {key.code}
        self._do(action)
        self._finished = isinstance(action, Detach)

    def _give_up(self) -> None:
        held = self._held
        self._forget()
        for each in held:
            self._deliver(each)

    def _forget(self) -> None:
        self._held, self._matched = [], 0

    # --- collecting ---

    def _deliver(self, key: Key) -> None:
        if self._interrupts and key.pressed and key.byte == _CTRL_C:
            self._do(Interrupt())
        else:
            self._send(key.raw)

    def _send(self, data: bytes) -> None:
        if data and not self._interrupts:
            self._pieces.append(data)

    def _do(self, action: Action) -> None:
        self._join()
        self._actions.append(action)

    def _join(self) -> None:
        if self._pieces:
            self._actions.append(Send(b"".join(self._pieces)))
            self._pieces.clear()

    def _flush(self) -> list[Action]:
        self._join()
        actions, self._actions = self._actions, []
        return actions


def _not_of(held: list[Key]) -> list[Key]:
    """What came beside the keys of a prefix: neither they nor their repeats and releases."""
    ours = {each.code for each in held if each.pressed}
    return [
        each for each in held if not each.pressed and (each.code is None or each.code not in ours)
    ]
