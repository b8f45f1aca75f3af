"""The string sequences (OSC, DCS, APC) that may reach a viewer's terminal. Pure.

The numbers of OSC are those of xterm's ctlseqs, "Operating System Commands", and of each terminal's
own additions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class OutputPolicy:
    """The things that the user allows a program to do to their terminal."""

    clipboard: bool = False
    """Write the clipboard (OSC 52). Reading it is never allowed."""
    hyperlinks: bool = True
    notifications: bool = True
    """Show notifications (OSC 9 of iTerm2, OSC 777 of urxvt); others (OSC 99) never pass."""
    title: bool = True


_DROPPED_IN_STRINGS: Final = bytes(range(0x20)) + b"\x7f"

# Colours and their resets: the palette (4, 5, 104, 105), text, background, cursor and the like.
_COLORS: Final = re.compile(rb"(?:[45]|1[0-9]|10[45]|11[0-9]|21|22)(?:;[^?]*)?")
_TITLE: Final = re.compile(rb"[012];.*", re.DOTALL)
_HYPERLINK: Final = re.compile(rb"8;[^;]*;.*", re.DOTALL)
_CLIPBOARD_WRITE: Final = re.compile(rb"52;[cpqs0-7]*;[A-Za-z0-9+/=]*")
# ConEmu's progress bar. Its other OSC 9 commands are dropped (7 runs a process); any other use of
# OSC 9 is iTerm2's notification.
_PROGRESS: Final = re.compile(rb"9;4;[0-4](?:;[0-9]*)?")
_NOTIFICATION: Final = re.compile(rb"9;(?![0-9]+(?:;|$)).*|777;notify;.*", re.DOTALL)
_PROMPT_MARK: Final = re.compile(rb"133;[A-DP].*", re.DOTALL)
_ALWAYS: Final = (_COLORS, _PROGRESS, _PROMPT_MARK)

_SIXEL: Final = re.compile(rb"[0-9;]*q[!-~]*")
# Kitty's graphics protocol: keys, then base64.
_GRAPHICS: Final = re.compile(rb"G([a-zA-Z]=[^,;]*(?:,[a-zA-Z]=[^,;]*)*)?(;[A-Za-z0-9+/=]*)?")


def string_for_viewers(string: bytes, policy: OutputPolicy) -> bytes:
    """Return what passes of a complete sequence, given without its ESC.

    `string` begins with `]`, `P`, `_`, `X` or `^`, and holds its end. A sequence that was cut short by
    another one, by CAN or by SUB doesn't pass: terminals differ on whether it counts.
    """
    kind = string[:1]
    if string.endswith(b"\x1b\\"):
        body, end = string[1:-2], b"\x1b\\"
    elif kind == b"]" and string.endswith(b"\x07"):
        body, end = string[1:-1], b"\x07"
    else:
        return b""
    body = body.translate(None, _DROPPED_IN_STRINGS)
    if kind == b"]" and _command_passes(body, policy):
        return b"\x1b]" + body + end
    if kind == b"P" and _SIXEL.fullmatch(body):
        return b"\x1bP" + body + end
    if kind == b"_":
        return _graphics(body)
    return b""


def _command_passes(body: bytes, policy: OutputPolicy) -> bool:
    return (
        any(pattern.fullmatch(body) for pattern in _ALWAYS)
        or (policy.title and _TITLE.fullmatch(body) is not None)
        or (policy.hyperlinks and _HYPERLINK.fullmatch(body) is not None)
        or (policy.notifications and _NOTIFICATION.fullmatch(body) is not None)
        or (policy.clipboard and _CLIPBOARD_WRITE.fullmatch(body) is not None)
    )


def _graphics(body: bytes) -> bytes:
    """Return an image of kitty's protocol with the terminal's answers turned off.

    The image must be in the sequence itself: none that the terminal is to read from the user's files
    or memory passes, and no query.
    """
    match = _GRAPHICS.fullmatch(body)
    if match is None:
        return b""
    keys = dict(pair.split(b"=", 1) for pair in (match[1] or b"").split(b",") if pair)
    if keys.get(b"a") == b"q" or keys.get(b"t", b"d") != b"d":
        return b""
    keys[b"q"] = b"2"
    control = b",".join(key + b"=" + value for key, value in keys.items())
    return b"\x1b_G" + control + (match[2] or b"") + b"\x1b\\"
