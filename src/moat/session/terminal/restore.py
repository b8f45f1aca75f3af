"""The bytes that make a viewer's terminal show a screen it has never seen.

They come in this order, and each part relies on those before it:

1. The terminal is brought into a known state for drawing, and its own content out of the way.
2. Scrollback and primary screen are drawn as running text, so that lines scroll into the viewer's
   own scrollback and long lines stay wrapped lines.
3. If the alternate screen is active, it is entered and drawn. When the program or the viewer's client
   leaves it, the primary screen comes back.
4. Margins, tab stops, saved cursor and cursor follow, and the modes last, since some of them
   (insert, origin, autowrap) would spoil the drawing.

The palette stays the viewer's own.

The emulator reports the state of its active screen only. The rest (the primary screen under the
alternate one, the saved cursor, the keyboard flags further down the stack) is read off a copy, which
is made to leave the screen, restore the cursor and pop the flags.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from moat.session.terminal import ghostty, modes, row_renderer
from moat.session.terminal.ghostty import Region
from moat.session.terminal.ghostty_abi import CursorShape, Data, Emit, GhosttyError

if TYPE_CHECKING:
    from collections.abc import Generator

    from moat.session.terminal.ghostty import Extra, Terminal

# The state that drawing relies on: plain attributes, ASCII in both charset slots, no margins, no insert
# mode, no origin mode, autowrap, and line feeds that only go down.
KNOWN_STATE: Final = (
    b'\x1b[?25l\x1b[m\x1b]8;;\x1b\\\x1b[0"q\x1b(B\x1b)B\x1b*B\x1b+B\x0f'
    b"\x1b[4l\x1b[20l\x1b[?6l\x1b[?69l\x1b[?7h\x1b[?5l"
)
# Resetting margins or origin mode homes the cursor, so it is saved meanwhile.
_NO_MARGINS: Final = b"\x1b7\x1b[?6l\x1b[?69l\x1b[r\x1b8"
# Not CSI 2 J, which in some terminals moves what it erases to their scrollback, at every repaint.
_CLEAR: Final = b"\x1b[H\x1b[J"
# Sets modifyOtherKeys back to what the user has configured (xterm's ctlseqs, "CSI > Pp m").
_NO_MODIFY_OTHER_KEYS: Final = b"\x1b[>4m"

# Kitty's keyboard protocol: "terminals should limit the size of the stack". Ghostty's holds 8.
_KEYBOARD_STACK: Final = 8

_SHAPES: Final = {CursorShape.BLOCK: 2, CursorShape.UNDERLINE: 4, CursorShape.BAR: 6}
_ROW_MARGINS: Final = re.compile(rb"\x1b\[(\d+);(\d+)r")
_COLUMN_MARGINS: Final = re.compile(rb"\x1b\[(\d+);(\d+)s")


def restore(terminal: Terminal, *, scrollback: int | None, title: bytes) -> bytes:
    """Return the bytes for a terminal of the same size.

    With `scrollback`, the number of lines to show above the screen, the viewer has just been attached
    and is on its primary screen; what it shows is scrolled up. With `None` it has shown this screen, or
    a part of it, before; it may be on either screen, and what it shows is replaced.
    """
    out = [_make_room(terminal, fresh=scrollback is not None), KNOWN_STATE, _CLEAR]
    if terminal.mode(modes.GRAPHEME_CLUSTERS):
        out.append(b"\x1b[?%dh" % modes.GRAPHEME_CLUSTERS)
    if terminal.get(Data.ACTIVE_SCREEN):
        out.append(_primary_then_alternate(terminal, scrollback or 0))
    else:
        out.append(row_renderer.everything(terminal, scrollback or 0))
    out.append(_margins(terminal))
    with _copy(terminal) as copy:
        if copy is not None:
            out.extend((_keyboard(copy), _saved_cursor(copy)))
    out.append(_cursor(terminal))
    if title:
        out.append(b"\x1b]2;%b\x1b\\" % title)
    out.extend(
        (modes.restore_sequence(terminal), _cursor_shape(terminal), _cursor_visibility(terminal))
    )
    # Also where the program is in the middle of an update: its end might never come.
    out.append(b"\x1b[?2026l")
    return b"".join(out)


def _make_room(terminal: Terminal, *, fresh: bool) -> bytes:
    # Terminals that know synchronized output (2026) show nothing until all of this is written.
    if not fresh:
        return b"\x1b[?2026h\x1b[?1049l" + _NO_MARGINS
    # So many line feeds move what is above the cursor, and nothing else, into the scrollback, whatever
    # the cursor's row.
    return b"\x1b[?2026h" + _NO_MARGINS + b"\x1b[m" + b"\n" * (terminal.get(Data.ROWS) - 1)


def _primary_then_alternate(terminal: Terminal, scrollback: int) -> bytes:
    number = next((n for n in modes.ALTERNATE_SCREENS if terminal.mode(n)), 1049)
    with _copy(terminal) as copy:
        primary = b"" if copy is None else _primary(copy, number, scrollback)
    enter = b"\x1b[?%dh\x1b[?6l\x1b[?69l\x1b[r\x1b[m\x1b(B\x1b)B\x0f" % number
    return primary + enter + _CLEAR + row_renderer.everything(terminal, 0)


def _primary(copy: Terminal, number: int, scrollback: int) -> bytes:
    """Draw the primary screen, to which a reset of the mode `number` returns. Changes the copy."""
    copy.write(b"\x1b[?%dl" % number)
    drawn = row_renderer.everything(copy, scrollback)
    # The cursor's position may be relative to the margins, which both screens share.
    margins, shape = _margins(copy), _cursor_shape(copy)
    # Mode 1049 saves the cursor when it is set; the others leave the saved one alone.
    cursor = _cursor(copy) if number == 1049 else _saved_cursor(copy)
    return b"".join((drawn, margins, cursor, shape, _keyboard(copy)))


def _margins(terminal: Terminal) -> bytes:
    """Set margins and tab stops. Homes the cursor."""
    margins = _extra(terminal, "scrolling_region")
    if terminal.mode(modes.LEFT_RIGHT_MARGINS):
        margins = b"\x1b[?69h" + margins
    # Origin mode is off here, so tab stops outside the margins can be set, too.
    return _tab_stops(terminal) + margins


def _saved_cursor(copy: Terminal) -> bytes:
    """Save the cursor that the terminal has saved (DECSC). Changes the copy."""
    copy.write(b"\x1b8")
    return _cursor(copy) + b"\x1b7"


def _cursor(terminal: Terminal) -> bytes:
    """Set what DECSC saves: position, attributes, charsets, origin mode, and a pending wrap."""
    x, y = terminal.get(Data.CURSOR_X), terminal.get(Data.CURSOR_Y)
    out: list[bytes] = []
    last_character = b""
    if terminal.get(Data.CURSOR_PENDING_WRAP):
        # A terminal wraps before the next character only after it has written one in the last column.
        x, last_character = row_renderer.character(terminal, x, y)
    if terminal.mode(modes.ORIGIN):
        left, top = _origin(terminal)
        out.append(b"\x1b[?6h" + _move_to(max(0, x - left), max(0, y - top)))
    else:
        out.append(b"\x1b[?6l" + _move_to(x, y))
    out.append(last_character)
    out.append(b'\x1b(B\x1b)B\x0f\x1b[0"q\x1b]8;;\x1b\\\x1b[m')
    out.append(_extra(terminal, "style", "protection", "hyperlink", "charsets"))
    return b"".join(out)


def _move_to(x: int, y: int) -> bytes:
    return b"\x1b[%d;%dH" % (y + 1, x + 1)


def _origin(terminal: Terminal) -> tuple[int, int]:
    """Return the column and row that origin mode counts from."""
    margins = _extra(terminal, "scrolling_region")
    rows, columns = _ROW_MARGINS.search(margins), _COLUMN_MARGINS.search(margins)
    return (int(columns[1]) - 1 if columns else 0, int(rows[1]) - 1 if rows else 0)


def _keyboard(copy: Terminal) -> bytes:
    """Set kitty's keyboard flags of the active screen, and modifyOtherKeys. Changes the copy."""
    flags: list[int] = [copy.get(Data.KITTY_KEYBOARD_FLAGS)]
    for _ in range(_KEYBOARD_STACK - 1):
        copy.write(b"\x1b[<u")
        flags.append(copy.get(Data.KITTY_KEYBOARD_FLAGS))
    while len(flags) > 1 and flags[-1] == 0:
        flags.pop()
    flags.reverse()
    pushed = b"".join(b"\x1b[>%du" % each for each in flags[1:])
    return b"\x1b[=%d;1u" % flags[0] + pushed + _NO_MODIFY_OTHER_KEYS + _extra(copy, "keyboard")


def _cursor_shape(terminal: Terminal) -> bytes:
    shape, blinks = terminal.cursor_shape()
    # No program can ask for the hollow shape, the emulator's default: then the shape is the user's own.
    number = _SHAPES[shape] - blinks if shape in _SHAPES else 0
    blink = b"\x1b[?12h" if number == 0 and terminal.mode(modes.CURSOR_BLINK) else b""
    return b"\x1b[%d q%b" % (number, blink)


def _cursor_visibility(terminal: Terminal) -> bytes:
    return b"\x1b[?25h" if terminal.mode(modes.CURSOR_VISIBLE) else b"\x1b[?25l"


def _extra(terminal: Terminal, *extras: Extra) -> bytes:
    """Return state that the formatter writes after cells, without the cells."""
    corner = Region(0, 0, 0, 0)
    cells = terminal.format(Emit.VT, corner)
    return terminal.format(Emit.VT, corner, extras).removeprefix(cells)


def _tab_stops(terminal: Terminal) -> bytes:
    """Return the tab stops, which the formatter writes before cells."""
    corner = Region(0, 0, 0, 0)
    cells = terminal.format(Emit.VT, corner)
    return terminal.format(Emit.VT, corner, ("tabstops",)).removesuffix(cells)


@contextmanager
def _copy(terminal: Terminal) -> Generator[Terminal | None]:
    """Yield a copy of the terminal, or `None` in the middle of a sequence too long to be copied.

    Without a copy, the restored screen lacks what can only be read off one.
    """
    try:
        snapshot = terminal.encode()
    except GhosttyError:
        yield None
        return
    copy = ghostty.decode(snapshot, ghostty.MAX_CONTINUATION)
    try:
        # CAN ends any sequence that the program is in the middle of.
        copy.write(b"\x18")
        yield copy
    finally:
        copy.close()
