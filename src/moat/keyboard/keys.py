"""The keys of an attached terminal: which are for the program, and which are commands for the client.

Sans-I/O. The escape prefix is recognised in every form that terminals have for it (`key_forms`). What is
no key is never taken for one: pasted text, and what a program can make a terminal send, such as answers
and reports of focus and mouse. Those may come between the prefix and the key that follows it.

However the input is cut into reads, bytes and commands are the same; only `timeout` depends on time,
and the caller holds the clock. Ordinary bytes are never held back. An ESC that ends a read is, for
`ESCAPE_TIMEOUT_S`: short enough for the Escape key to feel immediate, and long enough to get a sequence
that comes in two reads in one piece. Where the rest comes later still, the program gets it as it comes,
and a paste that begins so is still recognised.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from moat.keyboard.key_forms import Key, decode, is_answer, not_a_key, plain_key
from moat.keyboard.key_names import COMMAND_KEYS
from moat.keyboard.tokenizer import Tokenizer, TokenKind


class Send(NamedTuple):
    """Bytes for the program."""

    data: bytes


class Command(Enum):
    """A request of the user's to the client."""

    DETACH = auto()
    STOP = auto()
    SAVE_SCREEN = auto()
    ANSWER = auto()
    HELP = auto()
    INTERRUPT = auto()
    """Ctrl-C, where the program takes no input."""


Action = Send | Command

_COMMANDS: Final = dict(
    zip(
        COMMAND_KEYS,
        (Command.DETACH, Command.STOP, Command.SAVE_SCREEN, Command.ANSWER, Command.HELP),
        strict=True,
    )
)

# After this time without a second key, the prefix is the program's. People are faster.
PREFIX_TIMEOUT_S: Final = 0.5
# The Escape key must not feel slow: tmux waits 10 ms, vim 100.
ESCAPE_TIMEOUT_S: Final = 0.025
# Nobody notices a wait within a sequence. But Alt-] and the like look like the beginning of an answer,
# and must not hide the prefix for longer than a hand takes to get there.
SEQUENCE_TIMEOUT_S: Final = 0.1

_CTRL_C: Final = 0x03
# A program that makes the terminal report without end must not make the client hold without end.
_MAX_HELD_BYTES: Final = 4096


class KeyMachine:
    """Keys in, actions out."""

    def __init__(
        self,
        prefix: bytes,
        *,
        interrupts: bool = False,
        timeout: float = PREFIX_TIMEOUT_S,
        pasting: bool = False,
    ) -> None:
        """`prefix` has a legacy byte for each of its keys; it is empty where there are no escape keys.

        With `interrupts` the program takes no input: Ctrl-C is a command, everything else is dropped.
        After `timeout` seconds a prefix alone is the program's; 0: it waits for the next key.
        With `pasting` the input begins within pasted text.
        """
        self._prefix = prefix
        self._timeout = timeout
        self._interrupts = interrupts
        self._special = prefix[:1] + (bytes([_CTRL_C]) if interrupts else b"") + b"\x1b"
        self._tokenizer = Tokenizer(self._special, pasting=pasting)
        self._held: list[Key] = []
        """Keys of the prefix, once or twice, with what came between them."""
        self._matched = 0
        """The number of held bytes that are the prefix's."""
        self._consumed: set[int | None] = set()
        """Codes of keys whose press was ours: their repeats and their release are ours, too."""
        self._finished = False
        self._pieces: list[bytes] = []
        self._actions: list[Action] = []

    @property
    def pending(self) -> bool:
        """Time matters: call `timeout` after `patience` seconds without input."""
        return self._tokenizer.is_within_sequence or bool(self._held and self._timeout)

    @property
    def pasting(self) -> bool:
        """The end of a paste has not come yet: nothing is a command before that."""
        return self._tokenizer.is_within_paste

    @property
    def holds_prefix(self) -> bool:
        """The prefix was typed, and what follows decides what it means."""
        return bool(self._prefix) and self._matched == len(self._prefix)

    @property
    def patience(self) -> float:
        if self._tokenizer.holds_escape:
            return ESCAPE_TIMEOUT_S
        return SEQUENCE_TIMEOUT_S if self._tokenizer.is_within_sequence else self._timeout

    def feed(self, data: bytes) -> list[Action]:
        """Return what to do, in order. After a command to detach, input is discarded."""
        if not self._prefix and not self._interrupts:
            return [Send(data)] if data else []
        for kind, raw in () if self._finished else self._tokenizer.feed(data):
            match kind:
                case TokenKind.PLAIN:
                    self._plain(raw)
                case TokenKind.SEQUENCE:
                    self._sequence(raw)
                case TokenKind.REPORT:
                    self._between(not_a_key(raw))
                case TokenKind.ANSWER:
                    pass  # nobody was asked
                case TokenKind.LITERAL:
                    self._give_up()
                    self._send(raw)
            if self._finished:
                break
        return self._take_actions()

    def timeout(self) -> list[Action]:
        """Nothing has followed, or nothing can: what is held back is the program's."""
        self._give_up()
        self._send(self._tokenizer.flush())
        return self._take_actions()

    # --- deciding ---

    def _plain(self, data: bytes) -> None:
        for position, byte in enumerate(data):
            if not self._held and byte not in self._special:
                self._send(data[position:])  # nothing in there is special
                return
            self._key(plain_key(byte))
            if self._finished:
                return

    def _sequence(self, raw: bytes) -> None:
        if is_answer(raw):
            return  # nobody was asked
        if self._held or raw[-1:] in (b"u", b"~"):
            self._key(decode(raw))
        else:
            self._deliver(not_a_key(raw))  # with no other final byte it is the prefix, or Ctrl-C

    def _key(self, key: Key) -> None:
        if self._finished:
            return
        if key.pressed:
            self._consumed.discard(key.code)
            self._press(key)
        else:
            self._between(key)

    def _between(self, key: Key) -> None:
        """Keep what is no press in its place among the keys."""
        if key.code is not None and key.code in self._consumed:
            if key.released:
                self._consumed.discard(key.code)
        elif self._held:
            self._held.append(key)
            if sum(len(each.raw) for each in self._held) > _MAX_HELD_BYTES:
                self._give_up()
        else:
            self._deliver(key)

    def _press(self, key: Key) -> None:
        length = len(self._prefix)
        if length and key.byte == self._prefix[self._matched % length]:
            self._held.append(key)
            self._matched += 1
            if self._matched == 2 * length:
                self._prefix_twice()
        elif length and self._matched == length and key.byte in _COMMANDS:
            self._command(key, _COMMANDS[key.byte])
        elif self._held:
            self._mismatch(key)
        else:
            self._deliver(key)

    def _mismatch(self, key: Key) -> None:
        """Give the program a whole prefix, or the first key of a part. The rest may begin another."""
        theirs = len(self._prefix) if self._matched >= len(self._prefix) else 1
        keys = [*self._held, key]
        self._forget()
        for each in keys:
            if theirs:
                self._deliver(each)
                theirs -= each.pressed
            else:
                self._key(each)

    def _prefix_twice(self) -> None:
        """Give the program the second prefix, as it came."""
        presses = [index for index, each in enumerate(self._held) if each.pressed]
        second = presses[len(self._prefix)]
        ours, theirs = self._held[:second], self._held[second:]
        self._forget()
        for each in (*_unrelated(ours), *theirs):
            self._deliver(each)

    def _command(self, key: Key, command: Command) -> None:
        held = self._held
        self._forget()
        for each in _unrelated(held):
            self._deliver(each)
        released = {each.code for each in held if each.released}
        self._consumed |= {each.code for each in held if each.pressed} - released | {key.code}
        self._do(command)
        self._finished = command is Command.DETACH

    def _give_up(self) -> None:
        """Give the program what is held."""
        held = self._held
        self._forget()
        for each in held:
            self._deliver(each)

    def _forget(self) -> None:
        self._held, self._matched = [], 0

    # --- collecting ---

    def _deliver(self, key: Key) -> None:
        if self._interrupts and key.pressed and key.byte == _CTRL_C:
            self._do(Command.INTERRUPT)
        else:
            self._send(key.raw)

    def _send(self, data: bytes) -> None:
        if data and not self._interrupts:
            self._pieces.append(data)

    def _do(self, command: Command) -> None:
        self._join()
        self._actions.append(command)

    def _join(self) -> None:
        if self._pieces:
            self._actions.append(Send(b"".join(self._pieces)))
            self._pieces.clear()

    def _take_actions(self) -> list[Action]:
        self._join()
        actions, self._actions = self._actions, []
        return actions


def _unrelated(held: list[Key]) -> list[Key]:
    """Return what came between the keys of a prefix, without their own repeats and releases."""
    ours = {each.code for each in held if each.pressed}
    return [
        each for each in held if not each.pressed and (each.code is None or each.code not in ours)
    ]
