"""One key, from the bytes that a terminal sends for it.

Terminals send the byte that a key has had since ASCII (its legacy byte), or one of kitty's sequences, or
xterm's modifyOtherKeys. Keys are compared by their legacy byte, which is also how users name them
(`ctrl-/` is 0x1F). A key's code tells whose release a release is. Sequences that are no keys, such as
answers to queries and reports of the mouse, are told apart: they can come at any time.

Sources: kitty's "Comprehensive keyboard handling in terminals"; xterm's ctlseqs.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

ESC: Final = 0x1B

# Of a key: code : shifted : base layout ; modifiers : event ; text
_KEY: Final = re.compile(
    rb"\x1b\[(\d*)(?::(\d*))?(?::(\d*))?(?:;(\d*)(?::(\d*))?)?(?:;([\d:]*))?([@-~])"
)
_OTHER_KEYS: Final = re.compile(rb"\x1b\[27;(\d+);(\d+)~")
# Private parameters and intermediates are for answers. The finals: focus in and out, mouse, device
# attributes and status, cursor position, window size, modes. (F3 is R in some terminals. It is taken for
# a report then, and reaches the program all the same.)
_REPORT: Final = re.compile(rb"\x1b\[(?:[<=>?].*|.*[ -/].|[0-9;:]*[IOMRTcntxy])", re.DOTALL)

# What a terminal sends of itself: one of these, or a release of a key (kitty's event type 3).
_BY_ITSELF: Final = re.compile(
    rb"\x1b\[(?:<(?P<sgr>\d+);\d+;\d+[Mm]|(?P<urxvt>\d+);\d+;\d+M|M(?P<x10>.)..|[IO]"
    rb"|[=>?][0-9;:]*[ -/]*[@-~]|[0-9;:]*[Rntxcy]|\d+(?::\d*)*;\d*:3[@-~])",
    re.DOTALL,
)
# Bits of a mouse button: motion, and the wheel and further buttons. Of the two lowest, both are set
# where no button is (xterm's ctlseqs, "Mouse Tracking").
_NO_CLICK, _NO_BUTTON = 32 | 64 | 128, 3

# Answers to queries. Viewers' terminals are asked nothing, so nobody waits for one. CSI ? 997 n is no
# answer but a report of the colour scheme (mode 2031), and CSI 1 ; n R may be F3.
_ANSWER: Final = re.compile(
    rb"\x1b\[(?:[?>=][0-9;]*c|\?[0-9;]*\$y|[0-9;]*\$y|[03]n|\?(?!997;)[0-9;]*n|\?[0-9;]*[uR]"
    rb"|(?!1;)\d+;\d+R|[0-9;]+[tx]|\?[0-9;]*S)"
)

# kitty, "Modifiers": the value less one is a bit field. The locks change nothing about a key.
_SHIFT, _CTRL, _LOCKS = 1, 4, 64 | 128
_PRESS, _RELEASE = 1, 3
# Left shift to right meta, and the locks: they are pressed on the way to a key.
_MODIFIER_KEYS: Final = frozenset((*range(57441, 57455), *range(57358, 57361)))

# Tab, Enter and Escape. No other key has a code that is a control character.
_NAMED_CONTROLS: Final = frozenset((0x09, 0x0D, ESC))
# The character that a key has with shift, where the terminal doesn't say. Only those that a prefix or
# the key after it may need: in the layout of the US, and 7, which has the / on many others.
_SHIFTED: Final = {ord(key): ord(shifted) for key, shifted in ("/?", "-_", "2@", "6^", "7/")}
# kitty, "Legacy ctrl mapping of ASCII keys": those beside letters and @ [ \ ] ^ _
_CONTROLS: Final = {" ": 0, "/": 31, "2": 0, "3": 27, "4": 28, "5": 29, "6": 30, "7": 31}


class Key(NamedTuple):
    """A press of a key. Or, with `pressed` false, anything that comes between presses."""

    raw: bytes
    byte: int | None = None
    """The key's legacy byte, `None` where it has none or several."""
    code: int | None = None
    """The same for its press, repeats and release, whatever modifiers are held."""
    pressed: bool = True
    """False for repeats, releases, modifiers by themselves, and for what is no key at all."""
    released: bool = False


def plain_key(byte: int) -> Key:
    """Return the key that came as its legacy byte.

    Its release may come as a sequence all the same: kitty's event types leave presses that are text
    as text.
    """
    text = chr(byte | 0x60 if byte < 0x20 else byte).lower()
    # On a layout where the / is elsewhere, the program may see the release of a key that it never saw.
    code = ord("/") if byte in (0x1F, ord("?")) else ord(text)
    return Key(bytes([byte]), byte, code)


def not_a_key(raw: bytes) -> Key:
    return Key(raw, pressed=False)


def decode(sequence: bytes) -> Key:
    """Return the key that a whole control sequence stands for."""
    if _REPORT.fullmatch(sequence):
        return not_a_key(sequence)
    if other := _OTHER_KEYS.fullmatch(sequence):
        modifiers, code = int(other[1]) - 1, int(other[2])
        return Key(sequence, _byte(code, 0, modifiers & ~_LOCKS), code)
    if kitty := _KEY.fullmatch(sequence):
        return _kitty_key(kitty)
    return Key(sequence)


def is_answer(sequence: bytes) -> bool:
    """Return whether a whole control sequence is a terminal's answer to a query."""
    return _ANSWER.fullmatch(sequence) is not None


def is_sent_by_terminal(data: bytes) -> bool:
    """Return whether none of this input was done by the user: no key, no click, no paste."""
    position = 0
    while position < len(data):
        report = _BY_ITSELF.match(data, position)
        if report is None or _is_click(report):
            return False
        position = report.end()
    return True


def _is_click(report: re.Match[bytes]) -> bool:
    if report["sgr"]:
        button = int(report["sgr"]) if report[0].endswith(b"M") else _NO_BUTTON
    elif report["urxvt"]:
        button = int(report["urxvt"]) - 32
    elif report["x10"]:
        button = report["x10"][0] - 32
    else:
        return False
    return not button & _NO_CLICK and button & _NO_BUTTON != _NO_BUTTON


def _kitty_key(match: re.Match[bytes]) -> Key:
    code, shifted, base, modifiers, event = (int(match[group] or 0) for group in range(1, 6))
    pressed = event in (0, _PRESS) and code not in _MODIFIER_KEYS
    if match[7] != b"u":
        return Key(match[0], pressed=pressed)  # arrows and function keys
    modifiers = max(modifiers - 1, 0) & ~_LOCKS
    if match[6] and match[6].isdigit() and not modifiers & ~_SHIFT:
        byte = _ascii(int(match[6]))  # the text that it makes
    elif code >= 0x80 and base:
        byte = _byte(
            base, 0, modifiers
        )  # another alphabet: as for shortcuts, the key's place counts
    else:
        byte = _byte(code, shifted, modifiers)
    return Key(match[0], byte, code, pressed, event == _RELEASE)


def control(character: str) -> int | None:
    """Return the byte that Ctrl makes of a character: ASCII's; of `/` and space, what terminals send."""
    if character in ("/", " "):
        return _CONTROLS[character]
    upper = character.upper() if character.isascii() else ""
    return ord(upper) - 64 if len(upper) == 1 and "@" <= upper <= "_" else None


def _byte(code: int, shifted: int, modifiers: int) -> int | None:
    """Return the legacy byte; `shifted` is the character with shift, 0 where it is not known."""
    if code >= 0x80 or modifiers & ~(_SHIFT | _CTRL):
        return None
    is_letter = chr(code).isalpha()
    if modifiers & _SHIFT:
        if modifiers & _CTRL and is_letter:
            return None  # a terminal that can tell Ctrl-Shift-P from Ctrl-P means another key
        code = shifted or _SHIFTED.get(code) or ord(chr(code).upper())
    if modifiers & _CTRL and code < 0x80:
        return _CONTROLS.get(chr(code), control(chr(code)))
    return _ascii(code)


def _ascii(code: int) -> int | None:
    return code if 0x20 <= code < 0x80 or code in _NAMED_CONTROLS else None
