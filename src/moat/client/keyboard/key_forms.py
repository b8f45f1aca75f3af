"""How keys are written, by terminals and by users.

Pure. Terminals send the byte of old, or one of kitty's sequences, or xterm's modifyOtherKeys. A key is
known by the byte that it has without these protocols, which is also what users mean (`ctrl-/` is
0x1F), and by its code, which tells whose a release is. Sequences that are no keys, such as answers to
queries and mouse reports, are told apart: they come whenever they like.

Sources: kitty's "Comprehensive keyboard handling in terminals"; xterm's ctlseqs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from moat.errors import UsageError

# After the prefix: detach, stop, snapshot, help.
ACTION_KEYS: Final = b"dks?"

ESC: Final = 0x1B

# ECMA-48 5.4: parameters, intermediates, final byte.
CSI: Final = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
CSI_BEGINNING: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*)?")
# Longer than any key; what goes on beyond is no sequence to us, but Escape and text.
LONGEST: Final = 64
# Followed by button, column and row, a byte each, which may be any character.
X10_MOUSE: Final = b"\x1b[M"
X10_MOUSE_BYTES: Final = 6

# Of a key: code : shifted : base layout ; modifiers : event ; text
_KEY: Final = re.compile(
    rb"\x1b\[(\d*)(?::(\d*))?(?::(\d*))?(?:;(\d*)(?::(\d*))?)?(?:;([\d:]*))?([@-~])"
)
_OTHER_KEYS: Final = re.compile(rb"\x1b\[27;(\d+);(\d+)~")
# Private parameters and intermediates are for answers. The finals: focus in and out, mouse, device
# attributes and status, cursor position, window size, modes. (F3 is R in some terminals: it waits
# then, but passes.)
_REPORT: Final = re.compile(rb"\x1b\[(?:[<=>?].*|.*[ -/].|[0-9;:]*[IOMRTcntxy])", re.DOTALL)

# "Modifiers": the value less one is a bit field. The locks are no part of a key.
_SHIFT, _CTRL, _LOCKS = 1, 4, 64 | 128
_PRESS, _RELEASE = 1, 3
# Left shift to right meta and the locks: pressed on the way to a key, they are none.
_MODIFIER_KEYS: Final = frozenset((*range(57441, 57455), *range(57358, 57361)))

# Tab, Enter and Escape. No other key's code is a control character.
_NAMED_CONTROLS: Final = frozenset((0x09, 0x0D, ESC))
# What shift makes of a key where the terminal does not say; no more than a prefix or action may need.
# Beside the layout of the US: 7, which has the / on many others.
_SHIFTED: Final = {ord(key): ord(shifted) for key, shifted in ("/?", "-_", "2@", "6^", "7/")}
# "Legacy ctrl mapping of ASCII keys": those that are neither letters nor among @ [ \ ] ^ _
_CONTROLS: Final = {" ": 0, "/": 31, "2": 0, "3": 27, "4": 28, "5": 29, "6": 30, "7": 31}


@dataclass(frozen=True, slots=True)
class EscapeKeys:
    """The prefix, as the bytes of old: one for each key."""

    prefix: bytes


def parse_escape_keys(spec: str) -> EscapeKeys | None:
    """`ctrl-/`, `ctrl-p,ctrl-q`, `~`; `''` and `none` switch the keys off. Raises `UsageError`."""
    if spec in ("", "none"):
        return None
    prefix = bytes(_parse_key(each.strip(), spec) for each in spec.split(","))
    if prefix[0] in ACTION_KEYS:
        raise UsageError(
            f"escape keys {spec!r} begin with {chr(prefix[0])}, which is what follows them",
            "The keys d, k, s and ? are for after the prefix; take another, like ctrl-/",
        )
    return EscapeKeys(prefix)


def _parse_key(text: str, spec: str) -> int:
    if len(text) == 1 and 0x20 < ord(text) < 0x7F:
        return ord(text)
    name, _, key = text.lower().partition("-")
    byte = control(" " if key == "space" else key) if name == "ctrl" and key else None
    if byte == ESC:
        raise UsageError(
            f"{text} in escape keys {spec!r} is the Escape key",
            "Arrow keys and Alt begin with it, too; take another, like ctrl-/ or ctrl-]",
        )
    if byte is None:
        raise UsageError(
            f"{text!r} in escape keys {spec!r} is not a key",
            "Write keys like ctrl-/ or ctrl-p,ctrl-q"
            " (ctrl- with a letter or one of @ \\ ] ^ _ / space)",
        )
    return byte


@dataclass(frozen=True, slots=True)
class Key:
    """A key's press; or what comes beside presses, with `pressed` false."""

    raw: bytes
    byte: int | None = None
    """What it has without a protocol, `None` where it has none or several."""
    code: int | None = None
    """The same in its press, repeats and release, whatever modifiers are held."""
    pressed: bool = True
    """False for repeats, releases, modifiers by themselves, and for all that is no key."""
    released: bool = False


def plain_key(byte: int) -> Key:
    """A key that came as a byte.

    Its release may come as a sequence all the same: kitty's event types leave presses that are text
    as text.
    """
    text = chr(byte | 0x60 if byte < 0x20 else byte).lower()
    # Where the protocol's user has them; on other layouts the program may see a release too many.
    code = ord("/") if byte in (0x1F, ord("?")) else ord(text)
    return Key(bytes([byte]), byte, code)


def beside_keys(raw: bytes) -> Key:
    """Bytes that are no key."""
    return Key(raw, pressed=False)


def decode(sequence: bytes) -> Key:
    """A whole control sequence."""
    if _REPORT.fullmatch(sequence):
        return beside_keys(sequence)
    if other := _OTHER_KEYS.fullmatch(sequence):
        modifiers, code = int(other[1]) - 1, int(other[2])
        return Key(sequence, _byte(code, 0, modifiers & ~_LOCKS), code)
    key = _KEY.fullmatch(sequence)
    if key is None:
        return Key(sequence)
    code, shifted, base, modifiers, event = (int(key[group] or 0) for group in range(1, 6))
    event = event or _PRESS
    pressed = event == _PRESS and code not in _MODIFIER_KEYS
    if key[7] != b"u":
        return Key(sequence, pressed=pressed)  # arrows and function keys
    modifiers = max(modifiers - 1, 0) & ~_LOCKS
    if key[6] and key[6].isdigit() and not modifiers & ~_SHIFT:
        byte = _ascii(int(key[6]))
    elif code >= 0x80 and base:
        byte = _byte(base, 0, modifiers)  # another alphabet: as shortcuts go, by the key's place
    else:
        byte = _byte(code, shifted, modifiers)
    return Key(sequence, byte, code, pressed, event == _RELEASE)


def control(character: str) -> int | None:
    """The byte that Ctrl makes of a character: ASCII's, and `/` and space as terminals have them."""
    if character in ("/", " "):
        return _CONTROLS[character]
    upper = character.upper() if character.isascii() else ""
    return ord(upper) - 64 if len(upper) == 1 and "@" <= upper <= "_" else None


def _byte(code: int, shifted: int, modifiers: int) -> int | None:
    """`shifted`: the code point that it has with shift, 0 where the terminal does not say."""
    if code >= 0x80 or modifiers & ~(_SHIFT | _CTRL):
        return None
    is_letter = chr(code).isalpha()
    if modifiers & _SHIFT:
        if modifiers & _CTRL and is_letter:
            return None  # Ctrl-Shift-P is a key of its own where it can be told from Ctrl-P
        code = shifted or _SHIFTED.get(code) or ord(chr(code).upper())
    if modifiers & _CTRL and code < 0x80:
        return _CONTROLS.get(chr(code), control(chr(code)))
    return _ascii(code)


def _ascii(code: int) -> int | None:
    return code if 0x20 <= code < 0x80 or code in _NAMED_CONTROLS else None
