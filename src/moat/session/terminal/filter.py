"""The filter between a program's output and the terminals of its viewers.

The program may be hostile, and writing to a terminal is powerful. Terminals answer queries (and the
program would read each answer a second time, next to the emulator's), read and write the clipboard,
save files, report titles back as input, and some run processes. So the filter is a list of what may
pass: everything that the emulator in `screen` shows or keeps too, and a few harmless extras. The
rest is dropped. The emulator gets all output, and has answered what asks for an answer.

Terminals disagree on malformed sequences: what one takes for a title, another takes for a title cut
short and a query. So whatever passes is well-formed: valid UTF-8 without C1 controls, and sequences
that are complete and have no control characters in them. The emulator and the filter agree on where
a sequence ends (the state machine of DEC's VT500, vt100.net/emu/dec_ansi_parser).

An incomplete character or sequence at the end of a chunk is held back. Viewers get whole ones, so a
viewer that is attached at any moment begins between two of them.

Pure. It takes 220 MB/s of full-screen output, since Python sees only what is out of the ordinary.
"""

from __future__ import annotations

import re
from typing import Final

from moat.session.terminal import modes, utf8
from moat.session.terminal.filter_strings import (
    STATUS_KNOWN,
    OutputPolicy,
    clipboard_write,
    notification_text,
    status_report,
    string_for_viewers,
)

__all__ = ["OutputFilter", "OutputPolicy"]

# The longest sequences that are held back for their ends. Longer ones (images of some MB) are dropped.
MAX_STRING: Final = 1024 * 1024
MAX_CONTROL: Final = 4096

_PASSED_MODES: Final = frozenset(
    b"%d" % number
    for number, (_, restoring) in modes.DEC.items()
    if restoring is not modes.Restoring.NEVER
)
_PASSED_ANSI_MODES: Final = frozenset({b"%d" % modes.INSERT, b"%d" % modes.NEW_LINE})
_MODES: Final = b"(?:" + b"|".join(sorted(_PASSED_MODES, key=len, reverse=True)) + b")"

# Sequences that paint an ordinary screen. CSI 3 J is not among them, since it erases the scrollback
# with the user's own work, and nothing that a terminal answers is.
_PAINTING: Final = rb"\[[0-9;:]*+[@A-IK-MPSTXZ`abd-gmrsu]"
_ORDINARY: Final = (
    rb"\[(?:[0-2]?J|\?" + _MODES + rb"(?:;" + _MODES + rb")*[hl])|[78=>DEHM\\]|[()][0AB]"
)
_JUNK: Final = rb"\x00-\x17\x19\x1c-\x1f\x7f-\xff"

_UNUSUAL: Final = re.compile(
    # The frequent sequences have an alternative of their own, and the first: half as fast again.
    rb"\x1b(?!" + _PAINTING + rb")(?!" + _ORDINARY + rb")(?:"
    rb"\[(?P<control>[^@-~\x18\x1a\x1b]*)(?P<final>[@-~\x18\x1a])?"
    rb"|(?P<string>\][^\x07\x18\x1a\x1b]*(?:\x07|\x1b\\|[\x18\x1a])?"
    rb"|[PX^_][^\x18\x1a\x1b]*(?:\x1b\\|[\x18\x1a])?)"
    rb"|(?P<escape>[ -/][" + _JUNK + rb" -/]*[0-~]?|[0-~])?"
    rb")"
)
_LATE: Final = re.compile(rb"\x1b([" + _JUNK + rb"]+)")

# A sequence without its end.
_INCOMPLETE: Final = re.compile(
    rb"\x1b[" + _JUNK + rb"]*(?:(?:[ -/][" + _JUNK + rb" -/]*)?|\[[^@-~\x18\x1a\x1b]*"
    rb"|(?P<string>\][^\x07\x18\x1a\x1b]*|[PX^_][^\x18\x1a\x1b]*)\x1b?)\Z"
)
_ENDS: Final = {
    b"]": re.compile(rb"[\x07\x18\x1a\x1b]"),
    b"[": re.compile(rb"[@-~\x18\x1a\x1b]"),
}
_STRING_END: Final = re.compile(rb"[\x18\x1a\x1b]")
_ESCAPE_END: Final = re.compile(rb"[0-~\x18\x1a\x1b]")

_STRING: Final = re.compile(rb"\x1b\][^\x07\x1b]*\x07")

_C1: Final = re.compile(rb"\xc2[\x80-\x9f]")
_CONTROLS: Final = bytes(range(0x20)) + b"\x7f"
_NOT_CONTROLS: Final = bytes(range(0x20, 0x100))

_CONTROL_FINALS: Final = re.compile(
    rb"""
      \?[0-2]?[JK]                  # erase unprotected cells
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

# Stands in for ESC c, which resets the whole terminal, in some with the user's scrollback. This
# resets what a program can have changed.
_SOFT_RESET: Final = (
    b"\x1b[?1049l\x1b[!p\x1b[?5W\x1b[r\x1b[m\x1b(B\x1b)B\x1b*B\x1b+B\x0f\x1b]8;;\x1b\\"
    + b"".join(
        b"\x1b[?%dl" % number
        for number, (_, restoring) in modes.DEC.items()
        if restoring is modes.Restoring.ALWAYS and number != modes.AUTOWRAP
    )
    + b"\x1b[4l\x1b[20l\x1b[?6l\x1b[?69l\x1b[?7h\x1b[?25h\x1b>\x1b[=0;1u\x1b[>4m\x1b[0 q\x1b[H\x1b[J"
)


class OutputFilter:
    """Filters one program's output, for all of its viewers at once."""

    def __init__(self, policy: OutputPolicy | None = None) -> None:
        self._policy = policy or OutputPolicy()
        self._tail = b""
        """The beginning of an incomplete character."""
        self._held = b""
        """The beginning of an incomplete sequence, unless it is a string."""
        self._string = bytearray()
        """The beginning of an incomplete string sequence, which can be long."""
        self._skipping: re.Pattern[bytes] | None = None
        """The end of the overlong sequence that is being dropped."""
        self._clipboard = b""
        self._notification: str | None = None
        self._status: str | None = None
        self._status_asked = False

    @property
    def pending(self) -> int:
        """The number of bytes held back."""
        return len(self._tail) + len(self._held) + len(self._string)

    def take_clipboard(self) -> bytes:
        """Return the newest sequence that writes the clipboard, once; none of them passes."""
        taken, self._clipboard = self._clipboard, b""
        return taken

    def take_notification(self) -> str | None:
        """Return the text of the newest notification, once, whether or not it passes."""
        taken, self._notification = self._notification, None
        return taken

    def take_status(self) -> str | None:
        """Return the body of the newest report of the program's status (OSC 7501), once."""
        taken, self._status = self._status, None
        return taken

    def take_answer(self) -> bytes:
        """Return what the program has asked for and the emulator doesn't answer, once."""
        asked, self._status_asked = self._status_asked, False
        return STATUS_KNOWN if asked else b""

    def feed(self, data: bytes) -> bytes:
        """Return what viewers get of the next chunk: `data` itself if nothing is to be dropped."""
        data = self._characters(data)
        out = b""
        if self._skipping is not None:
            data = self._skip(data, self._skipping)
        elif self._string:
            out, data = self._continue_string(data)
        if self._held:
            data = self._held + data
            self._held = b""
        if b"\x1b" not in data:
            return out + data if out else data
        cut = _incomplete_from(data)
        beginning = _LATE.sub(_controls_first, data[cut:])
        if beginning:
            controls, escape, rest = beginning.partition(b"\x1b")
            self._hold(escape + rest)
            return out + self._whole(data[:cut]) + controls
        return out + self._whole(data)

    # --- characters ---

    def _characters(self, data: bytes) -> bytes:
        """Return valid UTF-8 without C1 controls, and without ENQ, which terminals answer."""
        if self._tail or not data.isascii():
            data = self._tail + data if self._tail else data
            cut = len(data) - utf8.incomplete_tail(data)
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
        """Drop an overlong sequence up to its end."""
        kind = bytes(beginning[1:2])
        default = _STRING_END if kind in b"PX^_" else _ESCAPE_END
        self._skipping = _ENDS.get(kind, default)
        self._held = b"\x1b" if beginning.endswith(b"\x1b") else b""
        self._string.clear()
        if self._held:
            self._skipping = None

    def _skip(self, data: bytes, end: re.Pattern[bytes]) -> bytes:
        """Return what follows the end of the sequence that is being dropped."""
        match = end.search(data)
        if match is None:
            return b""
        self._skipping = None
        # ESC begins ST, which does nothing by itself, or the next sequence.
        return data[match.start() if match[0] == b"\x1b" else match.end() :]

    def _continue_string(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what passes of the incomplete string, and the bytes behind it.

        Its end is searched in the new bytes alone, for strings come in many small pieces, too.
        """
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
        """Filter bytes that end between two sequences."""
        if _UNUSUAL.search(data) is None:
            return data
        return _UNUSUAL.sub(self._decide, _LATE.sub(_controls_first, data))

    def _decide(self, match: re.Match[bytes]) -> bytes:
        if match["string"] is not None:
            if write := clipboard_write(match["string"]):
                self._clipboard = write
                return b""
            self._note(match["string"])
            return string_for_viewers(match["string"], self._policy)
        if match["control"] is not None:
            return _control(match["control"], match["final"])
        return _escape(match["escape"] or b"")

    def _note(self, string: bytes) -> None:
        """Keep what a string says about the program itself, whether or not it passes."""
        if (text := notification_text(string)) is not None:
            self._notification = text
        elif (status := status_report(string)) == "?":
            self._status_asked = True
        elif status is not None:
            self._status = status


def rings(visible: bytes) -> bool:
    """Return whether what a filter has returned rings the bell: BEL ends some sequences, too."""
    return b"\x07" in visible and b"\x07" in _STRING.sub(b"", visible)


def _incomplete_from(data: bytes) -> int:
    """Return where the sequence begins that `data` leaves incomplete, or the length of `data`."""
    last = data.rfind(b"\x1b")
    if last == len(data) - 1 and last > 0:
        # This may be the first half of ST, the end of a string.
        before = data.rfind(b"\x1b", 0, last)
        if before >= 0:
            match = _INCOMPLETE.match(data, before)
            if match is not None and match["string"] is not None:
                return before
    return last if _INCOMPLETE.match(data, last) else len(data)


def _controls_first(match: re.Match[bytes]) -> bytes:
    """Move control characters inside a sequence before it, where they act."""
    return match[1].translate(None, _NOT_CONTROLS).replace(b"\x7f", b"") + b"\x1b"


def _control(body: bytes, final: bytes | None) -> bytes:
    """Filter a CSI sequence.

    Control characters in it act before it, and bytes that don't belong in it do nothing.
    """
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
    """Return the sequence with only those modes that a viewer's terminal may have."""
    allowed = _PASSED_MODES if private else _PASSED_ANSI_MODES
    listed = [number.lstrip(b"0") for number in numbers.split(b";")]
    passed = [number for number in listed if number in allowed]
    return b"\x1b[%b%b%b" % (private, b";".join(passed), final) if passed else b""


def _escape(rest: bytes) -> bytes:
    if rest == b"c":
        return _SOFT_RESET
    return b"\x1b" + rest if _ESCAPES.fullmatch(rest) else b""
