"""The bytes that make a viewer's terminal show a screen it has never seen.

In this order, each part relying on those before it:

1. the terminal is brought to a known state for drawing, and its own content out of the way;
2. scrollback and primary screen are drawn as running text, so that lines scroll into the viewer's
   own scrollback and long lines stay wrapped lines;
3. while the alternate screen is active, it is entered and drawn over that: left by the program or by
   the viewer's client, it gives the primary screen back;
4. margins, tab stops, saved cursor, cursor, and at last the modes, of which some (insert, origin,
   autowrap) would spoil the drawing.

The palette stays the viewer's own.

The emulator tells only what its active screen has. What lies behind (the primary screen under the
alternate one, the saved cursor, the keyboard flags further down the stack) is read off a copy, by
letting the copy leave the screen, restore the cursor, pop the flags.
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

# What drawing relies on: plain attributes, ASCII in both charset slots, no margins, no insert mode, no
# origin mode, autowrap, and line feeds that only go down.
_KNOWN_STATE: Final = (
    b'\x1b[?25l\x1b[m\x1b]8;;\x1b\\\x1b[0"q\x1b(B\x1b)B\x1b*B\x1b+B\x0f'
    b"\x1b[4l\x1b[20l\x1b[?6l\x1b[?69l\x1b[?7h\x1b[?5l"
)
# Margins and origin mode go without moving the cursor, by saving it: each homes it.
_NO_MARGINS: Final = b"\x1b7\x1b[?6l\x1b[?69l\x1b[r\x1b8"
# Not CSI 2 J: some terminals move what it erases to their scrollback, with every repaint.
_CLEAR: Final = b"\x1b[H\x1b[J"
# xterm, ctlseqs "CSI > Pp m": modifyOtherKeys back to what the user's configuration says.
_NO_MODIFY_OTHER_KEYS: Final = b"\x1b[>4m"

# Of kitty's keyboard protocol: "terminals should limit the size of the stack"; Ghostty's has 8.
_KEYBOARD_STACK: Final = 8

_SHAPES: Final = {CursorShape.BLOCK: 2, CursorShape.UNDERLINE: 4, CursorShape.BAR: 6}
_ROW_MARGINS: Final = re.compile(rb"\x1b\[(\d+);(\d+)r")
_COLUMN_MARGINS: Final = re.compile(rb"\x1b\[(\d+);(\d+)s")


def restore(terminal: Terminal, *, scrollback: int | None, title: bytes) -> bytes:
    """The sequence for a terminal of the same size.

    With `scrollback` (lines) the viewer has just been attached, is on its primary screen, and what it
    shows is kept: it is scrolled up. With `None` the viewer showed this screen or a part of it
    already: it may be on either screen, and what it shows is replaced.
    """
    out = [_make_room(terminal, fresh=scrollback is not None), _KNOWN_STATE, _CLEAR]
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
    if not terminal.mode(modes.SYNCHRONIZED):
        out.append(b"\x1b[?2026l")
    return b"".join(out)


def _make_room(terminal: Terminal, *, fresh: bool) -> bytes:
    # While this goes on, terminals that know synchronized output (2026) hold their picture.
    if not fresh:
        return b"\x1b[?2026h\x1b[?1049l" + _NO_MARGINS
    # As many line feeds as bring what is above the cursor, and nothing but that, into the scrollback,
    # whatever the cursor's row.
    return b"\x1b[?2026h" + _NO_MARGINS + b"\x1b[m" + b"\n" * (terminal.get(Data.ROWS) - 1)


def _primary_then_alternate(terminal: Terminal, scrollback: int) -> bytes:
    number = next((n for n in modes.ALTERNATE_SCREENS if terminal.mode(n)), 1049)
    with _copy(terminal) as copy:
        primary = b"" if copy is None else _primary(copy, number, scrollback)
    enter = b"\x1b[?%dh\x1b[?6l\x1b[?69l\x1b[r\x1b[m\x1b(B\x1b)B\x0f" % number
    return primary + enter + _CLEAR + row_renderer.everything(terminal, 0)


def _primary(copy: Terminal, number: int, scrollback: int) -> bytes:
    """What the mode `number` that was set gives back when it is reset. Changes the copy."""
    copy.write(b"\x1b[?%dl" % number)
    drawn = row_renderer.everything(copy, scrollback)
    # The cursor's place may be counted from margins, which the screens share.
    margins, shape = _margins(copy), _cursor_shape(copy)
    # Mode 1049 saves the cursor as it enters; the others leave the saved one alone.
    cursor = _cursor(copy) if number == 1049 else _saved_cursor(copy)
    return b"".join((drawn, margins, cursor, shape, _keyboard(copy)))


def _margins(terminal: Terminal) -> bytes:
    """Margins and tab stops. Homes the cursor."""
    margins = _extra(terminal, "scrolling_region")
    if terminal.mode(modes.LEFT_RIGHT_MARGINS):
        margins = b"\x1b[?69h" + margins
    # With origin mode off, as here, tab stops are set wherever they are.
    return _tab_stops(terminal) + margins


def _saved_cursor(copy: Terminal) -> bytes:
    """Saves what the terminal has saved (DECSC). Changes the copy."""
    copy.write(b"\x1b8")
    return _cursor(copy) + b"\x1b7"


def _cursor(terminal: Terminal) -> bytes:
    """All that DECSC saves: place, attributes, charsets, origin mode, and whether to wrap first."""
    x, y = terminal.get(Data.CURSOR_X), terminal.get(Data.CURSOR_Y)
    out: list[bytes] = []
    again = b""
    if terminal.get(Data.CURSOR_PENDING_WRAP):
        # Only writing the last character makes a terminal wrap before the next one.
        x, again = row_renderer.character(terminal, x, y)
    if terminal.mode(modes.ORIGIN):
        left, top = _origin(terminal)
        out.append(b"\x1b[?6h" + _place(max(0, x - left), max(0, y - top)))
    else:
        out.append(b"\x1b[?6l" + _place(x, y))
    out.append(again)
    out.append(b'\x1b(B\x1b)B\x0f\x1b[0"q\x1b]8;;\x1b\\\x1b[m')
    out.append(_extra(terminal, "style", "protection", "hyperlink", "charsets"))
    return b"".join(out)


def _place(x: int, y: int) -> bytes:
    return b"\x1b[%d;%dH" % (y + 1, x + 1)


def _origin(terminal: Terminal) -> tuple[int, int]:
    """The column and row that origin mode counts from."""
    margins = _extra(terminal, "scrolling_region")
    rows, columns = _ROW_MARGINS.search(margins), _COLUMN_MARGINS.search(margins)
    return (int(columns[1]) - 1 if columns else 0, int(rows[1]) - 1 if rows else 0)


def _keyboard(copy: Terminal) -> bytes:
    """Kitty's keyboard flags of the active screen, and modifyOtherKeys. Changes the copy."""
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
    # Hollow is the default that no program can ask for: the shape is the user's own.
    number = _SHAPES[shape] - blinks if shape in _SHAPES else 0
    blink = b"\x1b[?12h" if number == 0 and terminal.mode(modes.CURSOR_BLINK) else b""
    return b"\x1b[%d q%b" % (number, blink)


def _cursor_visibility(terminal: Terminal) -> bytes:
    return b"\x1b[?25h" if terminal.mode(modes.CURSOR_VISIBLE) else b"\x1b[?25l"


def _extra(terminal: Terminal, *extras: Extra) -> bytes:
    """State as the formatter writes it after cells, without the cells."""
    corner = Region(0, 0, 0, 0)
    cells = terminal.format(Emit.VT, corner)
    return terminal.format(Emit.VT, corner, extras).removeprefix(cells)


def _tab_stops(terminal: Terminal) -> bytes:
    """The same; these come before the cells."""
    corner = Region(0, 0, 0, 0)
    cells = terminal.format(Emit.VT, corner)
    return terminal.format(Emit.VT, corner, ("tabstops",)).removesuffix(cells)


@contextmanager
def _copy(terminal: Terminal) -> Generator[Terminal | None]:
    """`None` in the middle of a sequence too long to be copied; what lies behind is left out."""
    try:
        snapshot = terminal.encode()
    except GhosttyError:
        yield None
        return
    copy = ghostty.decode(snapshot, ghostty.MAX_CONTINUATION)
    try:
        # Out of any sequence that the program is in the middle of.
        copy.write(b"\x18")
        yield copy
    finally:
        copy.close()
