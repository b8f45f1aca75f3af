"""Keys by name, as the bytes that xterm sends for them. Pure."""

from __future__ import annotations

from typing import Final

from moat.errors import UsageError

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


def encode_key(name: str) -> bytes:
    """`Enter`, `Up`, `F5`, `C-c` or `ctrl-c`, `M-x` or `alt-x`. Raises `UsageError`."""
    lower = name.lower()
    for prefix in ("m-", "alt-"):
        if lower.startswith(prefix) and len(name) > len(prefix):
            return b"\x1b" + encode_key(name[len(prefix) :])
    for prefix in ("c-", "ctrl-"):
        if lower.startswith(prefix):
            return _control(lower[len(prefix) :], name)
    if lower in _NAMED:
        return _NAMED[lower]
    if len(name) == 1:
        return name.encode()
    raise UsageError(f"there is no key {name!r}", f"Known: C-x, M-x, {', '.join(_NAMED)}")


def _control(key: str, name: str) -> bytes:
    """ASCII's control characters are its upper case, less 64; `/` and space are terminals' habit."""
    key = {"/": "_", "space": "@"}.get(key, key)
    if len(key) == 1 and "@" <= key.upper() <= "_":
        return bytes([ord(key.upper()) - 64])
    raise UsageError(
        f"there is no key {name!r}", "Control goes with a letter or one of @ [ \\ ] ^ _ /"
    )
