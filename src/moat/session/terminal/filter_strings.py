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

    hyperlinks: bool = True
    notifications: bool = True
    """Show notifications: OSC 9 of iTerm2, OSC 777 of urxvt, OSC 99 of kitty."""
    pictures: bool = True
    """Show pictures: sixel, kitty's and iTerm2's."""
    title: bool = True


_DROPPED_IN_STRINGS: Final = bytes(range(0x20)) + b"\x7f"

# Colours and their resets: the palette (4, 5, 104, 105), text, background, cursor and the like.
_COLORS: Final = re.compile(rb"(?:[45]|1[0-9]|10[45]|11[0-9]|21|22)(?:;[^?]*)?")
_TITLE: Final = re.compile(rb"[012];.*", re.DOTALL)
_HYPERLINK: Final = re.compile(rb"8;[^;]*;.*", re.DOTALL)
_CLIPBOARD_WRITE: Final = re.compile(rb"\]52;[cpqs0-7]*;[A-Za-z0-9+/=]*(?:\x07|\x1b\\)")
# ConEmu's progress bar. Its other OSC 9 commands are dropped (7 runs a process); any other use of
# OSC 9 is iTerm2's notification.
_PROGRESS: Final = re.compile(rb"9;4;[0-4](?:;[0-9]*)?")
_NOTIFICATION: Final = re.compile(rb"9;(?![0-9]+(?:;|$)).*|777;notify;.*", re.DOTALL)
# Kitty's notifications ("Desktop notifications"): keys, then text or base64. What makes the terminal
# answer or report (a query, a report of a click or of the end, buttons) is left out.
_KITTY_NOTIFICATION: Final = re.compile(
    rb"99;((?:[a-zA-Z]=[^:;]*(?::[a-zA-Z]=[^:;]*)*)?);(.*)", re.DOTALL
)
_STATUS: Final = re.compile(rb"\]7501;([!-~ ]{1,4096})(?:\x07|\x1b\\)")
STATUS_KNOWN: Final = b"\x1b]7501;?\x1b\\"
"""The answer to a program that asks whether its terminal knows reports of its status."""
_NOTIFICATION_CHARACTERS: Final = 400
_SILENT_KEYS: Final = frozenset(
    (b"d", b"e", b"f", b"g", b"i", b"n", b"o", b"p", b"s", b"t", b"u", b"w")
)
_SILENT_PAYLOADS: Final = frozenset((b"title", b"body", b"icon", b"close"))
# iTerm2's pictures. Only those that are shown: any other file is saved in the user's own folder.
_ITERM_PICTURE: Final = re.compile(rb"1337;File=((?:[a-zA-Z]+=[^;:=]*={0,2};?)*):[A-Za-z0-9+/=]*")
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
    if kind == b"]" and policy.notifications and (found := _KITTY_NOTIFICATION.fullmatch(body)):
        return _notification(found[1], found[2], end)
    if kind == b"]" and _command_passes(body, policy):
        return b"\x1b]" + body + end
    if kind == b"P" and policy.pictures and _SIXEL.fullmatch(body):
        return b"\x1bP" + body + end
    if kind == b"_" and policy.pictures:
        return _graphics(body)
    return b""


def _command_passes(body: bytes, policy: OutputPolicy) -> bool:
    return (
        any(pattern.fullmatch(body) for pattern in _ALWAYS)
        or (policy.title and _TITLE.fullmatch(body) is not None)
        or (policy.hyperlinks and _HYPERLINK.fullmatch(body) is not None)
        or (policy.notifications and _NOTIFICATION.fullmatch(body) is not None)
        or (policy.pictures and _is_shown_picture(body))
    )


def clipboard_write(string: bytes) -> bytes | None:
    """Return the sequence where it is one that writes the clipboard (OSC 52), given without its ESC.

    It is for one terminal at most, so it passes to none with the rest of the output.
    """
    return b"\x1b" + string if _CLIPBOARD_WRITE.fullmatch(string) else None


def notification_text(string: bytes) -> str | None:
    """Return the printable text of a sequence that is a notification, given without its ESC."""
    if string[:2] not in (b"]9", b"]7") or not string.endswith((b"\x07", b"\x1b\\")):
        return None
    body = string[1:].removesuffix(b"\x1b\\").translate(None, _DROPPED_IN_STRINGS)
    if not (_NOTIFICATION.fullmatch(body) or _KITTY_NOTIFICATION.fullmatch(body)):
        return None
    text = body.decode(errors="replace")
    return "".join(each for each in text if each.isprintable())[:_NOTIFICATION_CHARACTERS]


def status_report(string: bytes) -> str | None:
    """Return the body of a report of the program's status (OSC 7501), given without its ESC.

    The body is `?` where the program asks whether its terminal knows such reports. The protocol is
    "Program Status Protocol", gist.github.com/mitchellh/7acae3abd8355c1c00287d67e96c913a.
    """
    found = _STATUS.fullmatch(string)
    return found[1].decode("ascii") if found else None


def _is_shown_picture(body: bytes) -> bool:
    picture = _ITERM_PICTURE.fullmatch(body)
    return picture is not None and b"inline=1" in picture[1].split(b";")


def _notification(metadata: bytes, payload: bytes, end: bytes) -> bytes:
    """Return a notification of kitty's protocol that the terminal says nothing about."""
    pairs = [pair.split(b"=", 1) for pair in metadata.split(b":") if pair]
    keys = {key: value for key, value in pairs if key in _SILENT_KEYS}
    if keys.get(b"p", b"title") not in _SILENT_PAYLOADS:
        return b""
    kept = b":".join(key + b"=" + value for key, value in keys.items())
    return b"\x1b]99;" + kept + b";" + payload + end


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
