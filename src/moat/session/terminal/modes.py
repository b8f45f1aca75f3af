"""The terminal modes that the emulator knows, and what a viewer's terminal is told of them.

A table, since terminals differ in what is on to begin with, and since some modes must not be set in a
viewer's terminal at all. Numbers: DEC private modes as in xterm's ctlseqs, "Functions using CSI ?";
ANSI modes as in ECMA-48 7.2.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Protocol


class HasModes(Protocol):
    """An emulated terminal, as far as its modes go."""

    def mode(self, number: int, *, ansi: bool = False) -> bool:
        """Return whether a DEC private mode (with `ansi` an ANSI mode) is set."""
        ...


class Telling(Enum):
    """How a restored viewer learns of a mode."""

    ALWAYS = auto()
    """On or off: terminals agree on where they begin, and a stale one would do harm."""
    CHANGED = auto()
    """Only where the program changed it: terminals, or their users' settings, begin differently."""
    ELSEWHERE = auto()
    """By another part of the restore sequence, in its own place there."""
    NEVER = auto()
    """The emulator alone answers to it."""


INSERT: Final = 4
NEW_LINE: Final = 20
CURSOR_KEYS: Final = 1
ORIGIN: Final = 6
AUTOWRAP: Final = 7
CURSOR_BLINK: Final = 12
CURSOR_VISIBLE: Final = 25
APPLICATION_KEYPAD: Final = 66
LEFT_RIGHT_MARGINS: Final = 69
SYNCHRONIZED: Final = 2026
GRAPHEME_CLUSTERS: Final = 2027
SIZE_REPORTS: Final = 2048
ALTERNATE_SCREENS: Final = (1049, 1047, 47)

ANSI: Final[dict[int, tuple[str, Telling]]] = {
    2: ("keyboard_locked", Telling.NEVER),
    INSERT: ("insert", Telling.ALWAYS),
    12: ("no_local_echo", Telling.NEVER),
    NEW_LINE: ("line_feed_is_new_line", Telling.ALWAYS),
}

# Mouse modes exclude each other in most terminals: each is reset before any is set.
DEC: Final[dict[int, tuple[str, Telling]]] = {
    CURSOR_KEYS: ("application_cursor_keys", Telling.ALWAYS),
    # Sets 132 columns and clears the screen: the viewer's size is the viewer's.
    3: ("columns_132", Telling.NEVER),
    4: ("smooth_scroll", Telling.CHANGED),
    5: ("reverse_video", Telling.ALWAYS),
    ORIGIN: ("origin", Telling.ELSEWHERE),
    AUTOWRAP: ("autowrap", Telling.ALWAYS),
    8: ("key_repeat", Telling.CHANGED),
    9: ("mouse_x10", Telling.ALWAYS),
    CURSOR_BLINK: ("cursor_blink", Telling.ELSEWHERE),
    CURSOR_VISIBLE: ("cursor_visible", Telling.ELSEWHERE),
    40: ("allow_columns_132", Telling.NEVER),
    45: ("reverse_wrap", Telling.ALWAYS),
    47: ("alternate_screen_47", Telling.ELSEWHERE),
    # As ESC = and ESC >, which more terminals know than mode 66.
    APPLICATION_KEYPAD: ("application_keypad", Telling.ELSEWHERE),
    67: ("backarrow_is_backspace", Telling.CHANGED),
    LEFT_RIGHT_MARGINS: ("left_right_margins", Telling.ELSEWHERE),
    1000: ("mouse_buttons", Telling.ALWAYS),
    1002: ("mouse_drag", Telling.ALWAYS),
    1003: ("mouse_motion", Telling.ALWAYS),
    1004: ("focus_events", Telling.ALWAYS),
    1005: ("mouse_utf8", Telling.ALWAYS),
    1006: ("mouse_sgr", Telling.ALWAYS),
    1007: ("alternate_scroll", Telling.CHANGED),
    1015: ("mouse_urxvt", Telling.ALWAYS),
    1016: ("mouse_pixels", Telling.ALWAYS),
    1035: ("numlock_modifier", Telling.CHANGED),
    1036: ("meta_sends_escape", Telling.CHANGED),
    1039: ("alt_sends_escape", Telling.CHANGED),
    1045: ("extended_reverse_wrap", Telling.CHANGED),
    1047: ("alternate_screen_1047", Telling.ELSEWHERE),
    1048: ("cursor_saved", Telling.ELSEWHERE),
    1049: ("alternate_screen_1049", Telling.ELSEWHERE),
    2004: ("bracketed_paste", Telling.ALWAYS),
    SYNCHRONIZED: ("synchronized_output", Telling.ELSEWHERE),
    GRAPHEME_CLUSTERS: ("grapheme_clusters", Telling.ELSEWHERE),
    2031: ("color_scheme_events", Telling.ALWAYS),
    # The terminal reports its size at once and at each change: the emulator does that.
    SIZE_REPORTS: ("size_reports", Telling.NEVER),
    5522: ("paste_events", Telling.ALWAYS),
}

_ON_AT_FIRST: Final = frozenset({AUTOWRAP, CURSOR_VISIBLE, 1007, 1035, 1036})


def named(terminal: HasModes) -> dict[str, bool]:
    """Every mode by name."""
    return {name: terminal.mode(number) for number, (name, _) in DEC.items()} | {
        name: terminal.mode(number, ansi=True) for number, (name, _) in ANSI.items()
    }


def restored(terminal: HasModes) -> bytes:
    """The sequences that give a viewer's terminal the same modes, resets first."""
    dec = {number: terminal.mode(number) for number in DEC}
    ansi = {number: terminal.mode(number, ansi=True) for number in ANSI}
    dec_told = _told(DEC, dec, _ON_AT_FIRST)
    ansi_told = _told(ANSI, ansi, frozenset())
    return b"".join(
        _sequences(introducer, [number for number in told if values[number] is on], final)
        for on, final in ((False, b"l"), (True, b"h"))
        for introducer, told, values in ((b"\x1b[", ansi_told, ansi), (b"\x1b[?", dec_told, dec))
    ) + (b"\x1b=" if terminal.mode(APPLICATION_KEYPAD) else b"\x1b>")


def undone(terminal: HasModes) -> bytes:
    """The sequences that take back what viewers were told only because the program changed it.

    The other modes are reset in any case when a terminal is given back. These are not: where the
    program left them alone they are as the user wants them.
    """
    changed = {
        number: number in _ON_AT_FIRST
        for number, (_, telling) in DEC.items()
        if (telling is Telling.CHANGED or number == GRAPHEME_CLUSTERS)
        and terminal.mode(number) is not (number in _ON_AT_FIRST)
    }
    return b"".join(
        b"\x1b[?%d%b" % (number, b"h" if was_on else b"l") for number, was_on in changed.items()
    )


def _told(
    table: dict[int, tuple[str, Telling]], values: dict[int, bool], on_at_first: frozenset[int]
) -> list[int]:
    return [
        number
        for number, (_, telling) in table.items()
        if telling is Telling.ALWAYS
        or (telling is Telling.CHANGED and values[number] is not (number in on_at_first))
    ]


def _sequences(introducer: bytes, numbers: list[int], final: bytes) -> bytes:
    # One sequence each: terminals drop a whole sequence of more parameters than they keep (16).
    return b"".join(introducer + b"%d" % number + final for number in numbers)
