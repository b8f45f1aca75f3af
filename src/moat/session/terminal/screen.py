"""The program's terminal, emulated.

A `Screen` takes all output of the program and answers the program's queries. At any moment it can be
shown: as bytes that make another terminal show the same (`restore`, `rows_vt`), as text, JSON or
HTML. It alone answers queries, whoever watches. `filter` keeps them from the viewers' terminals, so
that the program gets one answer, and always the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict

from moat.session.terminal import ghostty, modes, row_renderer, utf8
from moat.session.terminal.ghostty import Region
from moat.session.terminal.ghostty_abi import CursorShape, Data, Emit, GhosttyError, Option, Space
from moat.session.terminal.restore import KNOWN_STATE, restore
from moat.session.terminal.scrollback import SCROLLBACK_BYTES, Scrollback
from moat.spec import TerminalSize
from moat.version import __version__

if TYPE_CHECKING:
    from moat.session.terminal.ghostty import Terminal

# The most output that is fed at once. In between the scrollback's limit is adjusted.
_PIECE_BYTES: Final = 64 * 1024

# The most columns that are looked at for a sign of what the program wants.
_LONGEST_LINE: Final = 400

# The most bytes of answers that wait for the program. If it never reads, it gets no more.
_REPLY_BYTES: Final = 64 * 1024

# The colours that the emulator reports to a program that asks (OSC 10 and 11): light on dark, as in
# most terminals. They are drawn nowhere; viewers use their own.
_FOREGROUND: Final = (0xD0, 0xD0, 0xD0)
_BACKGROUND: Final = (0x10, 0x10, 0x10)
_TERMINFO_NAME: Final = b"xterm-256color"

# The library's own answer to CSI > q is replaced by Moat's. (It has a callback for the name, but that
# returns a struct by value, which ctypes can't do.)
_LIBRARY_VERSION: Final = b"\x1bP>|libghostty\x1b\\"
_MOAT: Final = f"moat {__version__}"


class ScreenState(TypedDict):
    """A screen as JSON, for programs."""

    columns: int
    rows: int
    text: list[str]
    """The visible rows, without spaces at their ends."""
    cursor: dict[str, int | bool]
    title: str
    alternate: bool
    modes: dict[str, bool]


class _Snapshot(NamedTuple):
    """The content of a snapshot, decoded."""

    terminal: Terminal
    held: bytes


class Screen:
    """The emulated terminal of one TTY session. `close` frees its memory, some MB."""

    def __init__(
        self,
        size: TerminalSize,
        scrollback: int,
        scrollback_bytes: int = SCROLLBACK_BYTES,
        snapshot: _Snapshot | None = None,
    ) -> None:
        """Keep `scrollback` lines above the screen, as far as they take no more than so many bytes.

        `snapshot` is for `from_snapshot`.
        """
        self._scrollback = scrollback
        self._replies = bytearray()
        self.program = ""
        """The terminal that a program is told it has (XTVERSION); empty for Moat itself."""
        self._size = size
        if snapshot is None:
            snapshot = _Snapshot(ghostty.start(size.columns, size.rows), b"")
        self._terminal = snapshot.terminal
        self._held = snapshot.held
        """The beginning of a character whose rest has not come yet."""
        self._configure(self._terminal)
        self._kept = Scrollback(self._terminal, scrollback, scrollback_bytes)

    def _configure(self, terminal: Terminal) -> None:
        terminal.on_reply(self._reply)
        terminal.answer_size()
        terminal.answer_dark()
        terminal.set_color(Option.COLOR_FOREGROUND, *_FOREGROUND)
        terminal.set_color(Option.COLOR_BACKGROUND, *_BACKGROUND)
        terminal.set_name(Option.TERMINFO_NAME, _TERMINFO_NAME)
        # A title that can be read back is text of the program's choice, typed as if by the user.
        terminal.set_flag(Option.TITLE_REPORT, on=False)
        # Images can't be restored. Without storage for them, the query whether they are known has no
        # answer.
        terminal.set_limit(Option.KITTY_IMAGE_STORAGE_LIMIT, 0)
        terminal.set_limit(Option.APC_MAX_BYTES, 0)
        terminal.set_limit(Option.APC_MAX_BYTES_KITTY, 0)
        terminal.set_limit(Option.CLIPBOARD_WRITE_MAX_BYTES, 0)
        terminal.set_limit(Option.CONTINUATION_MAX_BYTES, ghostty.MAX_CONTINUATION)
        # No program can ask for this shape, so it means that the cursor is the user's own.
        terminal.set_default_cursor(CursorShape.HOLLOW)

    def close(self) -> None:
        self._terminal.close()

    # --- the program's side ---

    def feed(self, data: bytes | memoryview) -> None:
        """Take the program's output, unfiltered and in order."""
        if self._held:
            self._terminal.write(self._held)
        cut = len(data) - utf8.incomplete_tail(data)
        self._held = bytes(data[cut:])
        for start in range(0, cut, _PIECE_BYTES):
            end = min(start + _PIECE_BYTES, cut)
            # The one piece of most calls isn't copied.
            self._terminal.write(data[start:end] if start or end < cut else data, end - start)
            self._kept.adjust()

    def take_replies(self) -> bytes:
        """Return the answers to the program's queries since the last call; they are for its input."""
        replies = bytes(self._replies)
        self._replies.clear()
        return replies

    def _reply(self, data: bytes) -> None:
        if len(self._replies) < _REPLY_BYTES:
            self._replies += self._version() if data == _LIBRARY_VERSION else data

    def _version(self) -> bytes:
        name = _MOAT if self.program in ("", "moat") else f"{self.program} ({_MOAT})"
        return b"\x1bP>|%b\x1b\\" % name.encode()

    def resize(self, size: TerminalSize) -> None:
        """Change the size; lines of the primary screen are wrapped anew."""
        self._terminal.resize(size.columns, size.rows)
        self._size = size
        self._kept.resized()

    # --- state ---

    @property
    def size(self) -> TerminalSize:
        return self._size

    @property
    def cursor(self) -> tuple[int, int]:
        """The cursor's column and row, from 0."""
        return self._terminal.get(Data.CURSOR_X), self._terminal.get(Data.CURSOR_Y)

    @property
    def cursor_visible(self) -> bool:
        return self._terminal.mode(modes.CURSOR_VISIBLE)

    @property
    def alternate(self) -> bool:
        """Tell whether the program is in the alternate screen."""
        return bool(self._terminal.get(Data.ACTIVE_SCREEN))

    @property
    def title(self) -> str:
        """The title that the program has set, without control characters."""
        title = self._terminal.title().decode(errors="replace")
        return "".join(character for character in title if character.isprintable())

    @property
    def modes(self) -> dict[str, bool]:
        return modes.states(self._terminal)

    # --- showing it ---

    def restore(self, *, scrollback: bool = True) -> bytes:
        """Return the bytes that make a terminal of the same size show this screen, in all its state.

        With `scrollback`, they are for a terminal that was just attached: what it shows is scrolled
        up, and the scrollback follows. Without, they are for one that has shown this screen before.
        """
        self._kept.loosen()
        return restore(
            self._terminal,
            scrollback=self._scrollback if scrollback else None,
            title=self.title.encode(),
        )

    def input_modes(self) -> bytes:
        """Return the bytes that make a terminal that is drawn on type as the program wants it to.

        They leave it in the state that drawing relies on.
        """
        flags = self._terminal.get(Data.KITTY_KEYBOARD_FLAGS)
        return modes.restore_sequence(self._terminal) + b"\x1b[=%d;1u" % flags + KNOWN_STATE

    def undo_modes(self) -> bytes:
        """Return the bytes that undo the modes that no general reset of a terminal may touch."""
        return modes.undo_sequence(self._terminal)

    def rows_vt(self, first: int, columns: int, rows: int, *, left: int = 0) -> list[bytes]:
        """Return at most `rows` rows from `first` on and `columns` columns of each from `left` on.

        Each is to be written from column 0 of an erased row with plain attributes, and leaves them
        plain. (The row is erased before, because after a full one that would erase its last cell.)
        """
        return row_renderer.visible(self._terminal, first, columns, rows, left=left)

    def text(self) -> str:
        """Return the visible screen, one line for each row."""
        return "\n".join(self._rows())

    def last_lines(self, count: int) -> list[str]:
        """Return at most so many visible rows that aren't empty, down to the last one.

        It looks near the cursor and above it alone, so a screen of any size costs little.
        """
        top = max(0, self.cursor[1] - 2 * count)
        bottom = min(self._size.rows, top + 3 * count) - 1
        region = Region(0, top, min(self._size.columns, _LONGEST_LINE) - 1, bottom, rectangle=True)
        rows = [row.strip() for row in self._plain(region, unwrap=False).split("\n")]
        return [row for row in rows if row][-count:]

    def contents(self) -> str:
        """Return scrollback and screen, one line for each of the program's, without the empty rest."""
        return self._plain(self._all(), unwrap=True).rstrip()

    def as_json(self) -> ScreenState:
        x, y = self.cursor
        return ScreenState(
            columns=self._size.columns,
            rows=self._size.rows,
            text=self._rows(),
            cursor={"column": x, "row": y, "visible": self.cursor_visible},
            title=self.title,
            alternate=self.alternate,
            modes=self.modes,
        )

    def html(self) -> str:
        """Return the visible screen as a `<style>` with the palette and a `<div>`."""
        screen = Region(0, 0, self._size.columns - 1, self._size.rows - 1)
        return self._terminal.format(Emit.HTML, screen, ("palette",)).decode(errors="replace")

    def _rows(self) -> list[str]:
        screen = Region(0, 0, self._size.columns - 1, self._size.rows - 1)
        rows = [row.rstrip() for row in self._plain(screen, unwrap=False).split("\n")]
        return rows + [""] * (self._size.rows - len(rows))

    def _all(self) -> Region:
        last = self._terminal.get(Data.TOTAL_ROWS) - 1
        first = max(0, last + 1 - self._size.rows - self._scrollback)
        return Region(0, first, self._size.columns - 1, last, Space.SCREEN)

    def _plain(self, region: Region, *, unwrap: bool) -> str:
        text = self._terminal.format(Emit.PLAIN, region, unwrap=unwrap, trim=True)
        return text.decode(errors="replace")

    # --- keeping it ---

    def snapshot(self) -> bytes | None:
        """Return the whole state for `from_snapshot`.

        Return `None` in the middle of a sequence too long to be kept.
        """
        self._kept.loosen()
        try:
            state = self._terminal.encode()
        except GhosttyError:
            return None
        return b"%c%b%b" % (len(self._held), self._held, state)

    def incomplete_output(self) -> bytes:
        """Return the beginning of the sequence or character that the last output left incomplete.

        A new `OutputFilter` is fed this first, to go on with the screen's output. Of a sequence too
        long to be kept it is empty, and viewers get the rest as text.
        """
        try:
            return self._terminal.continuation() + self._held
        except GhosttyError:
            return self._held

    @classmethod
    def from_snapshot(
        cls, snapshot: bytes, scrollback: int, scrollback_bytes: int = SCROLLBACK_BYTES
    ) -> Screen:
        """Make the screen again. Raises `GhosttyError` for a snapshot of another release."""
        if not snapshot:
            raise GhosttyError("the snapshot of the screen is empty")
        start = 1 + snapshot[0]
        terminal = ghostty.decode(snapshot[start:], ghostty.MAX_CONTINUATION)
        size = TerminalSize(terminal.get(Data.COLUMNS), terminal.get(Data.ROWS))
        return cls(size, scrollback, scrollback_bytes, _Snapshot(terminal, snapshot[1:start]))
