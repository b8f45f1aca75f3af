"""Keys as users name them: the escape prefix in a setting, keys to type in `moat send --key`."""

from __future__ import annotations

from typing import Final

from moat.errors import UsageError
from moat.keyboard.key_forms import ESC, control

# The keys that may follow the prefix: detach, stop, save the screen, answer, help.
COMMAND_KEYS: Final = b"dksa?"

# As xterm sends them.
_NAMED: Final = {
    "enter": b"\r",
    "tab": b"\t",
    "backtab": b"\x1b[Z",
    "esc": b"\x1b",
    "escape": b"\x1b",
    "space": b" ",
    "backspace": b"\x7f",
    "delete": b"\x1b[3~",
    "insert": b"\x1b[2~",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "pageup": b"\x1b[5~",
    "pagedown": b"\x1b[6~",
    **{f"f{n}": f"\x1bO{letter}".encode() for n, letter in enumerate("PQRS", 1)},
    **{
        f"f{n}": f"\x1b[{code}~".encode()
        for n, code in enumerate((15, 17, 18, 19, 20, 21, 23, 24), 5)
    },
}


NAMES: Final = tuple(_NAMED)
"""Keys that have a name of their own."""


def encode_key(name: str) -> bytes:
    """Return the bytes of a key such as `Enter`, `Up`, `F5`, `C-c` or `ctrl-c`, `M-x` or `alt-x`.

    Raise `UsageError` where there is no such key.
    """
    lower = name.lower()
    for prefix in ("m-", "alt-"):
        if lower.startswith(prefix) and len(name) > len(prefix):
            return b"\x1b" + encode_key(name[len(prefix) :])
    for prefix in ("c-", "ctrl-"):
        if lower.startswith(prefix):
            return _encode_control(lower[len(prefix) :], name)
    if lower in _NAMED:
        return _NAMED[lower]
    if len(name) == 1:
        return name.encode()
    raise UsageError(f"there is no key {name!r}", f"Known: C-x, M-x, {', '.join(_NAMED)}")


def _encode_control(key: str, name: str) -> bytes:
    byte = control(" " if key == "space" else key)
    if byte is None:
        raise UsageError(
            f"there is no key {name!r}", "Ctrl goes with a letter, space, or one of @ [ \\ ] ^ _ /"
        )
    return bytes([byte])


def parse_escape_prefix(spec: str) -> bytes:
    """Return the prefix of the escape keys, a legacy byte for each of its keys.

    `spec` is like `ctrl-/`, `ctrl-p,ctrl-q` or `~`. It is empty or `none` where there shall be no escape
    keys, and so is the prefix. Raise `UsageError`.
    """
    if spec in ("", "none"):
        return b""
    prefix = bytes(_parse_key(each.strip(), spec) for each in spec.split(","))
    if prefix[0] in COMMAND_KEYS:
        raise UsageError(
            f"escape keys {spec!r} begin with {chr(prefix[0])}, which is a key that follows them",
            "The keys d, k, s, a and ? follow the prefix. Choose another prefix, such as ctrl-/",
        )
    return prefix


def _parse_key(text: str, spec: str) -> int:
    if len(text) == 1 and 0x20 < ord(text) < 0x7F:
        return ord(text)
    name, _, key = text.lower().partition("-")
    byte = control(" " if key == "space" else key) if name == "ctrl" and key else None
    if byte == ESC:
        raise UsageError(
            f"{text} in escape keys {spec!r} is the Escape key",
            "Arrow keys and Alt begin with Escape, too. Choose another, such as ctrl-/ or ctrl-]",
        )
    if byte is None:
        raise UsageError(
            f"{text!r} in escape keys {spec!r} is not a key",
            "Write keys like ctrl-/ or ctrl-p,ctrl-q"
            " (ctrl- with a letter, space, or one of @ \\ ] ^ _ /)",
        )
    return byte
