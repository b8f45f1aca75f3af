"""What gives a terminal back after a full-screen program: every mode that one may have left on, off.

Written by whoever paints, and by the client when its painter has died. Each sequence is harmless on
a terminal that does not know it, and where the mode was off.
"""

from __future__ import annotations

from typing import Final

# Ends whatever sequence the terminal is in the middle of: CAN (ECMA-48 8.3.6), then ST for those
# that keep string sequences open over CAN.
CANCEL: Final = b"\x18\x1b\\"

# The kitty keyboard stack is per screen and holds no more entries than terminals allow (kitty: 8).
_POP_KEYBOARD: Final = b"\x1b[<99u"

_PRIVATE_MODES: Final = (
    1,  # application cursor keys
    5,  # reverse video
    9,  # mouse: X10 reports
    66,  # application keypad
    1000,  # mouse: clicks
    1001,  # mouse: highlight tracking
    1002,  # mouse: drags
    1003,  # mouse: all motion
    1004,  # focus reports
    1005,  # mouse: UTF-8 coordinates
    1006,  # mouse: SGR coordinates
    1015,  # mouse: urxvt coordinates
    1016,  # mouse: pixel coordinates
    2004,  # bracketed paste
    2026,  # synchronised output
    2031,  # reports of colour scheme changes
    2048,  # reports of size changes
)


def reset_sequence(*, alternate: bool) -> bytes:
    """`alternate`: whether the terminal is in its alternate screen, which is left then.

    It is not left otherwise: `CSI ? 1049 l` in the primary screen moves the cursor to wherever it
    was saved last.
    """
    return b"".join(
        (
            _POP_KEYBOARD,
            b"\x1b[?1049l" + _POP_KEYBOARD if alternate else b"",
            b"".join(b"\x1b[?%dl" % mode for mode in _PRIVATE_MODES),
            b"\x1b[=0u\x1b[>4;0m",  # kitty's key reports, xterm's modifyOtherKeys
            # Palette, foreground, background and cursor colour: the user's.
            b"\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\",
            b"\x1b>",  # numeric keypad
            b"\x1b[4l\x1b[20l",  # insert mode, newline mode
            # Margins and origin mode move the cursor: it is saved around them.
            b"\x1b7\x1b[?69l\x1b[?6l\x1b[r\x1b8",
            b"\x1b[?7h\x1b[?25h",  # automatic wrap, cursor shown
            b"\x1b[0 q",  # cursor shape: the user's
            b"\x1b]8;;\x1b\\",  # no hyperlink open
            b"\x0f\x1b(B\x1b[m",  # ASCII, plain
        )
    )
