"""What of the program's output reaches the terminals of those who watch.

The program may be hostile, and a terminal is a powerful thing to write to: it answers queries (its
answers would be typed into the program a second time, next to the emulator's), reads and writes the
clipboard, saves files, reports titles back as input, runs processes in some. So this is a list of
what may pass: what the emulator of `session.screen` shows or keeps too, and a few harmless extras.
Everything else is left out; the emulator, which gets all, has answered it.

Terminals disagree on malformed sequences, and what one takes for a title another takes for a title
cut short and a query. So what passes is well-formed: valid UTF-8; no C1 controls; no control
characters, and nothing unfinished, inside a sequence. The emulator and this agree on where a sequence
ends (the state machine of DEC's VT500, vt100.net/emu/dec_ansi_parser).

What is unfinished at the end of a chunk is held back: viewers get whole characters and sequences, so
one that is attached at any moment begins between two of them.

Pure; 220 MB/s of full-screen output, since Python sees only what is out of the ordinary.
"""

from __future__ import annotations

import re
from typing import Final

from moat.session.terminal import modes, utf8
from moat.session.terminal.filter_strings import OutputPolicy, string_for_viewers

__all__ = ["OutputFilter", "OutputPolicy"]

# The longest sequence that is held back for its end. Longer ones are left out: images of some MB.
MAX_STRING: Final = 1024 * 1024
MAX_CONTROL: Final = 4096

_PASSED_MODES: Final = frozenset(
    b"%d" % number
    for number, (_, telling) in modes.DEC.items()
    if telling is not modes.Telling.NEVER
)
_PASSED_ANSI_MODES: Final = frozenset({b"%d" % modes.INSERT, b"%d" % modes.NEW_LINE})
_MODES: Final = b"(?:" + b"|".join(sorted(_PASSED_MODES, key=len, reverse=True)) + b")"

# What an ordinary screen is painted with. Not among it: CSI 3 J, which erases the scrollback, where
# the user's own work stands; and everything that has an answer.
_PAINTING: Final = rb"\[[0-9;:]*+[@A-IK-MPSTXZ`abd-gmrsu]"
_ORDINARY: Final = (
    rb"\[(?:[0-2]?J|\?" + _MODES + rb"(?:;" + _MODES + rb")*[hl])|[78=>DEHM\\]|[()][0AB]"
)
_JUNK: Final = rb"\x00-\x17\x19\x1c-\x1f\x7f-\xff"

_UNUSUAL: Final = re.compile(
    # The frequent ones by themselves, and first: that makes all of it half as fast again.
    rb"\x1b(?!" + _PAINTING + rb")(?!" + _ORDINARY + rb")(?:"
    rb"\[(?P<control>[^@-~\x18\x1a\x1b]*)(?P<final>[@-~\x18\x1a])?"
    rb"|(?P<string>\][^\x07\x18\x1a\x1b]*(?:\x07|\x1b\\|[\x18\x1a])?"
    rb"|[PX^_][^\x18\x1a\x1b]*(?:\x1b\\|[\x18\x1a])?)"
    rb"|(?P<escape>[ -/][" + _JUNK + rb" -/]*[0-~]?|[0-~])?"
    rb")"
)
_LATE: Final = re.compile(rb"\x1b([" + _JUNK + rb"]+)")

# A sequence that has no end yet.
_UNFINISHED: Final = re.compile(
    rb"\x1b[" + _JUNK + rb"]*(?:(?:[ -/][" + _JUNK + rb" -/]*)?|\[[^@-~\x18\x1a\x1b]*"
    rb"|(?P<string>\][^\x07\x18\x1a\x1b]*|[PX^_][^\x18\x1a\x1b]*)\x1b?)\Z"
)
_ENDS: Final = {
    b"]": re.compile(rb"[\x07\x18\x1a\x1b]"),
    b"[": re.compile(rb"[@-~\x18\x1a\x1b]"),
}
_STRING_END: Final = re.compile(rb"[\x18\x1a\x1b]")
_ESCAPE_END: Final = re.compile(rb"[0-~\x18\x1a\x1b]")

_C1: Final = re.compile(rb"\xc2[\x80-\x9f]")
_CONTROLS: Final = bytes(range(0x20)) + b"\x7f"
_NOT_CONTROLS: Final = bytes(range(0x20, 0x100))

_CONTROL_FINALS: Final = re.compile(
    rb"""
      \?[0-2]?[JK]                  # erase what is not protected
    | \?5W | [0-9]*W                # tab stops
    | [0-9]*[ ]q                    # cursor shape
    | [0-2]?"q                      # protection
    | !p                            # soft reset
    | [>][0-9;]*m                   # modifyOtherKeys and the like
    | [<>=][0-9;]*u                 # kitty's keyboard flags
    | 2[23](?:;[0-2])?t             # title onto the stack and off it
    | [0-9;:]*[\^]                  # scroll down (ECMA-48)
    """,
    re.VERBOSE,
)
_MODE_LIST: Final = re.compile(rb"(\??)([0-9;]*)([hlsr])")
_ESCAPES: Final = re.compile(rb"[()*+\-./][0-9A-Za-z<>=]|[~n}o|NOVW]|\#8")

# ESC c resets a terminal altogether, and some forget the scrollback with it: the user's. The same for
# what a program can have changed.
_SOFT_RESET: Final = (
    b"\x1b[?1049l\x1b[!p\x1b[?5W\x1b[r\x1b[m\x1b(B\x1b)B\x1b*B\x1b+B\x0f\x1b]8;;\x1b\\"
    + b"".join(
        b"\x1b[?%dl" % number
        for number, (_, telling) in modes.DEC.items()
        if telling is modes.Telling.ALWAYS and number != modes.AUTOWRAP
    )
    + b"\x1b[4l\x1b[20l\x1b[?6l\x1b[?69l\x1b[?7h\x1b[?25h\x1b>\x1b[=0;1u\x1b[>4m\x1b[0 q\x1b[H\x1b[J"
)


class OutputFilter:
    """One program's output on its way to all viewers."""

    def __init__(self, policy: OutputPolicy | None = None) -> None:
        self._policy = policy or OutputPolicy()
        self._tail = b""
        """The beginning of a character."""
        self._held = b""
        """The beginning of a sequence."""
        self._string = bytearray()
        """The same, for a sequence that can be long."""
        self._skipping: re.Pattern[bytes] | None = None
        """What ends the overlong sequence that is being left out."""

    @property
    def pending(self) -> int:
        """Bytes held back."""
        return len(self._tail) + len(self._held) + len(self._string)

    def feed(self, data: bytes) -> bytes:
        """What viewers get of the next chunk; `data` itself where nothing is to be done."""
        data = self._characters(data)
        out = b""
        if self._skipping is not None:
            data = self._skip(data, self._skipping)
        elif self._string:
            out, data = self._on_with_string(data)
        if self._held:
            data = self._held + data
            self._held = b""
        if b"\x1b" not in data:
            return out + data if out else data
        cut = _unfinished_from(data)
        beginning = _LATE.sub(_controls_first, data[cut:])
        if beginning:
            controls, escape, rest = beginning.partition(b"\x1b")
            self._hold(escape + rest)
            return out + self._whole(data[:cut]) + controls
        return out + self._whole(data)

    # --- characters ---

    def _characters(self, data: bytes) -> bytes:
        """Valid UTF-8 without C1 controls and without ENQ, which terminals answer."""
        if self._tail or not data.isascii():
            data = self._tail + data if self._tail else data
            cut = len(data) - utf8.unfinished(data)
            self._tail = data[cut:]
            data = data[:cut]
            try:
                data.decode()
            except UnicodeDecodeError:
                data = data.decode(errors="replace").encode()
            if b"\xc2" in data:
                data = _C1.sub(b"", data)
        if b"\x05" in data:
            data = data.replace(b"\x05", b"")
        return data

    # --- holding back ---

    def _hold(self, beginning: bytes) -> None:
        if beginning[1:2] in b"]PX^_" and len(beginning) > 1:
            self._string = bytearray(beginning)
            if len(beginning) > MAX_STRING:
                self._give_up(beginning)
        else:
            self._held = beginning
            if len(beginning) > MAX_CONTROL:
                self._give_up(beginning)

    def _give_up(self, beginning: bytes | bytearray) -> None:
        """Leaves out a sequence longer than is kept, up to its end."""
        kind = bytes(beginning[1:2])
        default = _STRING_END if kind in b"PX^_" else _ESCAPE_END
        self._skipping = _ENDS.get(kind, default)
        self._held = b"\x1b" if beginning.endswith(b"\x1b") else b""
        self._string.clear()
        if self._held:
            self._skipping = None

    def _skip(self, data: bytes, end: re.Pattern[bytes]) -> bytes:
        """What follows the end of the sequence that is left out."""
        match = end.search(data)
        if match is None:
            return b""
        self._skipping = None
        # An ESC begins something: ST, which does nothing by itself, or the next sequence.
        return data[match.start() if match[0] == b"\x1b" else match.end() :]

    def _on_with_string(self, data: bytes) -> tuple[bytes, bytes]:
        """Looks for the end in the new bytes only: strings come in many small pieces, too."""
        if self._string[-1] == 0x1B:
            self._string.pop()
            data = b"\x1b" + data
        end = _ENDS.get(bytes(self._string[1:2]), _STRING_END).search(data)
        if end is None or (end[0] == b"\x1b" and end.end() == len(data)):
            self._string += data
            if len(self._string) > MAX_STRING:
                self._give_up(self._string)
            return b"", b""
        length = end.end()
        if end[0] == b"\x1b":
            length += 1 if data[length : length + 1] == b"\\" else -1
        whole = bytes(self._string) + data[:length]
        self._string.clear()
        return self._whole(whole), data[length:]

    # --- deciding ---

    def _whole(self, data: bytes) -> bytes:
        """Filters bytes that end between two sequences."""
        if _UNUSUAL.search(data) is None:
            return data
        return _UNUSUAL.sub(self._decide, _LATE.sub(_controls_first, data))

    def _decide(self, match: re.Match[bytes]) -> bytes:
        if match["string"] is not None:
            return string_for_viewers(match["string"], self._policy)
        if match["control"] is not None:
            return _control(match["control"], match["final"])
        return _escape(match["escape"] or b"")


def _unfinished_from(data: bytes) -> int:
    """Where the sequence begins that does not end in `data`; its length if there is none."""
    last = data.rfind(b"\x1b")
    if last == len(data) - 1 and last > 0:
        # Perhaps the first half of what ends a string.
        before = data.rfind(b"\x1b", 0, last)
        if before >= 0:
            match = _UNFINISHED.match(data, before)
            if match is not None and match["string"] is not None:
                return before
    return last if _UNFINISHED.match(data, last) else len(data)


def _controls_first(match: re.Match[bytes]) -> bytes:
    """Control characters inside a sequence act at once, before it."""
    return match[1].translate(None, _NOT_CONTROLS).replace(b"\x7f", b"") + b"\x1b"


def _control(body: bytes, final: bytes | None) -> bytes:
    """CSI. Control characters in it act before it; bytes that don't belong there do nothing."""
    controls = body.translate(None, _NOT_CONTROLS).replace(b"\x7f", b"")
    clean = bytes(byte for byte in body if 0x20 <= byte < 0x7F)
    if final is None or final in b"\x18\x1a":
        return controls
    sequence = b"\x1b[" + clean + final
    if _UNUSUAL.match(sequence) is None or _CONTROL_FINALS.fullmatch(clean + final):
        return controls + sequence
    if listed := _MODE_LIST.fullmatch(clean + final):
        return controls + _modes(*listed.groups())
    return controls


def _modes(private: bytes, numbers: bytes, final: bytes) -> bytes:
    """Those modes of a list that a viewer's terminal is to have."""
    passed = _PASSED_MODES if private else _PASSED_ANSI_MODES
    kept = [number.lstrip(b"0") for number in numbers.split(b";")]
    kept = [number for number in kept if number in passed]
    return b"\x1b[%b%b%b" % (private, b";".join(kept), final) if kept else b""


def _escape(rest: bytes) -> bytes:
    if rest == b"c":
        return _SOFT_RESET
    return b"\x1b" + rest if _ESCAPES.fullmatch(rest) else b""
