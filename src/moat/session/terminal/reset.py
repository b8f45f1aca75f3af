"""Giving a terminal back after a full-screen program: every mode that may have been left on, off.

Written by whoever paints, and by the client when its painter has died. Each sequence is harmless on
a terminal that does not know it, and where the mode was off.

Left alone is what users set in their terminals, and whose state before nobody knows: wheel and
modifier keys (1007, 1035, 1036, 1039), widths of graphemes (2027), backspace (67).
"""

from __future__ import annotations

from typing import Final

# Ends whatever sequence the terminal is in the middle of: CAN (ECMA-48 8.3.6), then ST for those
# that keep string sequences open over CAN.
CANCEL: Final = b"\x18\x1b\\"

# kitty's keyboard protocol: a pop of more than there is empties the stack, of which each screen has
# its own, and turns all off. No terminal keeps so many (kitty: 8).
_POP_KEYBOARD: Final = b"\x1b[<99u"

_PRIVATE_MODES: Final = (
    1,  # application cursor keys
    4,  # smooth scrolling
    5,  # reverse video
    9,  # mouse: X10 reports
    45,  # reverse wrap
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
    1045,  # extended reverse wrap
    2004,  # bracketed paste
    2026,  # synchronised output
    2031,  # reports of colour scheme changes
    2048,  # reports of size changes
    5522,  # paste events
)
# The palette and special colours; text, background, cursor, pointer and selection.
_COLORS: Final = (104, 105, 110, 111, 112, 113, 114, 117, 119)

# Left and right margins, origin mode, top and bottom margins.
NO_MARGINS: Final = b"\x1b[?69l\x1b[?6l\x1b[r"


def reset_sequence(*, alternate: bool) -> bytes:
    """`alternate`: the terminal is, or may be, in its alternate screen, which is left then.

    With it the cursor ends up where the primary screen had it. Without it the cursor is at home, and
    whoever painted says where it goes: origin mode can't be turned off in its place, for the saved
    cursor (DECSC) brings it back.
    """
    return b"".join(
        (
            _POP_KEYBOARD,
            _leave_alternate() if alternate else NO_MARGINS,
            b"".join(b"\x1b[?%dl" % mode for mode in _PRIVATE_MODES),
            b"\x1b[=0u\x1b[>4;0m",  # kitty's key reports, xterm's modifyOtherKeys
            b"".join(b"\x1b]%d\x1b\\" % color for color in _COLORS),
            b"\x1b]22;\x1b\\",  # shape of the pointer
            b"\x1b>",  # numeric keypad
            b"\x1b[4l\x1b[20l",  # insert mode, newline mode
            b"\x1b[?5W",  # tab stops, every 8 columns
            b"\x1b[?7h\x1b[?25h",  # automatic wrap, cursor shown
            b"\x1b[0 q",  # cursor shape: the user's
            b"\x1b]8;;\x1b\\",  # no hyperlink open
            b'\x1b(B\x1b)B\x1b*B\x1b+B\x0f\x1b[0"q\x1b[m',  # ASCII, unprotected, plain
        )
    )


def _leave_alternate() -> bytes:
    """Leave the alternate screen, as a program would that entered it with 1049.

    The saved cursor is one for each screen. So to save it first loses nothing in the alternate
    screen; and in the primary one, where 1049 restores it nevertheless (xterm), it stays where it is.
    """
    # Its older modes after it: some terminals remember each by itself, and none acts on them then.
    return b"\x1b7" + NO_MARGINS + b"\x1b8\x1b[?1049l\x1b[?1047l\x1b[?47l" + _POP_KEYBOARD
