"""The terminal modes that the emulator knows, and how each reaches a viewer's terminal.

Pure. A table, because terminals differ in which modes are set at first, and because some modes must
not be set in a viewer's terminal at all. The numbers of DEC private modes are those of xterm's
ctlseqs, "Functions using CSI ?", and the numbers of ANSI modes those of ECMA-48 7.2.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Protocol


class HasModes(Protocol):
    """An emulated terminal, as far as its modes go."""

    def mode(self, number: int, *, ansi: bool = False) -> bool:
        """Return whether a DEC private mode (with `ansi` an ANSI mode) is set."""
        ...


class Restoring(Enum):
    """The time at which a mode is set or reset in a terminal that is to show the screen."""

    ALWAYS = auto()
    """In any state: terminals agree on the initial one, and a stale mode would do harm."""
    IF_CHANGED = auto()
    """Only if the program changed it: terminals, or their users' settings, differ initially."""
    ELSEWHERE = auto()
    """Left to another part of the restore sequence, which has its own place for it."""
    NEVER = auto()
    """Not at all: the mode concerns the emulator alone."""


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

ANSI: Final[dict[int, tuple[str, Restoring]]] = {
    2: ("keyboard_locked", Restoring.NEVER),
    INSERT: ("insert", Restoring.ALWAYS),
    12: ("no_local_echo", Restoring.NEVER),
    NEW_LINE: ("line_feed_is_new_line", Restoring.ALWAYS),
}

DEC: Final[dict[int, tuple[str, Restoring]]] = {
    CURSOR_KEYS: ("application_cursor_keys", Restoring.ALWAYS),
    # Sets 132 columns and clears the screen, but a viewer's size is the viewer's own.
    3: ("columns_132", Restoring.NEVER),
    4: ("smooth_scroll", Restoring.IF_CHANGED),
    5: ("reverse_video", Restoring.ALWAYS),
    ORIGIN: ("origin", Restoring.ELSEWHERE),
    AUTOWRAP: ("autowrap", Restoring.ALWAYS),
    8: ("key_repeat", Restoring.IF_CHANGED),
    9: ("mouse_x10", Restoring.ALWAYS),
    CURSOR_BLINK: ("cursor_blink", Restoring.ELSEWHERE),
    CURSOR_VISIBLE: ("cursor_visible", Restoring.ELSEWHERE),
    40: ("allow_columns_132", Restoring.NEVER),
    45: ("reverse_wrap", Restoring.ALWAYS),
    47: ("alternate_screen_47", Restoring.ELSEWHERE),
    # Restored by ESC = and ESC >, which more terminals know than mode 66.
    APPLICATION_KEYPAD: ("application_keypad", Restoring.ELSEWHERE),
    67: ("backarrow_is_backspace", Restoring.IF_CHANGED),
    LEFT_RIGHT_MARGINS: ("left_right_margins", Restoring.ELSEWHERE),
    1000: ("mouse_buttons", Restoring.ALWAYS),
    1002: ("mouse_drag", Restoring.ALWAYS),
    1003: ("mouse_motion", Restoring.ALWAYS),
    1004: ("focus_events", Restoring.ALWAYS),
    1005: ("mouse_utf8", Restoring.ALWAYS),
    1006: ("mouse_sgr", Restoring.ALWAYS),
    1007: ("alternate_scroll", Restoring.IF_CHANGED),
    1015: ("mouse_urxvt", Restoring.ALWAYS),
    1016: ("mouse_pixels", Restoring.ALWAYS),
    1035: ("numlock_modifier", Restoring.IF_CHANGED),
    1036: ("meta_sends_escape", Restoring.IF_CHANGED),
    1039: ("alt_sends_escape", Restoring.IF_CHANGED),
    1045: ("extended_reverse_wrap", Restoring.IF_CHANGED),
    1047: ("alternate_screen_1047", Restoring.ELSEWHERE),
    1048: ("cursor_saved", Restoring.ELSEWHERE),
    1049: ("alternate_screen_1049", Restoring.ELSEWHERE),
    2004: ("bracketed_paste", Restoring.ALWAYS),
    SYNCHRONIZED: ("synchronized_output", Restoring.ELSEWHERE),
    GRAPHEME_CLUSTERS: ("grapheme_clusters", Restoring.ELSEWHERE),
    2031: ("color_scheme_events", Restoring.ALWAYS),
    # Makes the terminal report its size, at once and at each change; the emulator does so.
    SIZE_REPORTS: ("size_reports", Restoring.NEVER),
    5522: ("paste_events", Restoring.ALWAYS),
}

_SET_INITIALLY: Final = frozenset({AUTOWRAP, CURSOR_VISIBLE, 1007, 1035, 1036})


def states(terminal: HasModes) -> dict[str, bool]:
    """Return whether each mode is set, by name."""
    return {name: terminal.mode(number) for number, (name, _) in DEC.items()} | {
        name: terminal.mode(number, ansi=True) for number, (name, _) in ANSI.items()
    }


def restore_sequence(terminal: HasModes) -> bytes:
    """Return the bytes that give a viewer's terminal the same modes.

    Resets come first: in most terminals the mouse modes exclude each other, and resetting one ends
    them all.
    """
    dec = {number: terminal.mode(number) for number in DEC}
    ansi = {number: terminal.mode(number, ansi=True) for number in ANSI}
    dec_numbers = _to_restore(DEC, dec, _SET_INITIALLY)
    ansi_numbers = _to_restore(ANSI, ansi, frozenset())
    return b"".join(
        _sequences(introducer, [number for number in numbers if modes[number] is is_set], final)
        for is_set, final in ((False, b"l"), (True, b"h"))
        for introducer, numbers, modes in (
            (b"\x1b[", ansi_numbers, ansi),
            (b"\x1b[?", dec_numbers, dec),
        )
    ) + (b"\x1b=" if terminal.mode(APPLICATION_KEYPAD) else b"\x1b>")


def undo_sequence(terminal: HasModes) -> bytes:
    """Return the bytes that undo the modes that were restored only because the program changed them.

    All other modes are reset whenever a terminal is given back. These are not: if the program left
    them alone, they are as the user wants them.
    """
    changed = [
        number
        for number, (_, restoring) in DEC.items()
        if (restoring is Restoring.IF_CHANGED or number == GRAPHEME_CLUSTERS)
        and terminal.mode(number) is not (number in _SET_INITIALLY)
    ]
    return b"".join(
        b"\x1b[?%d%b" % (number, b"h" if number in _SET_INITIALLY else b"l") for number in changed
    )


def _to_restore(
    table: dict[int, tuple[str, Restoring]], modes: dict[int, bool], set_initially: frozenset[int]
) -> list[int]:
    return [
        number
        for number, (_, restoring) in table.items()
        if restoring is Restoring.ALWAYS
        or (restoring is Restoring.IF_CHANGED and modes[number] is not (number in set_initially))
    ]


def _sequences(introducer: bytes, numbers: list[int], final: bytes) -> bytes:
    # One sequence each: terminals drop a sequence of more parameters than they keep (16).
    return b"".join(introducer + b"%d" % number + final for number in numbers)
