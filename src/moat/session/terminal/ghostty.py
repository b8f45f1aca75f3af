"""One emulated terminal of libghostty-vt, as Python objects and nothing else.

What it is good for is said in `session.screen`; how it is called, in `session.ghostty_abi`.
"""

from __future__ import annotations

import ctypes
import re
from ctypes import byref, c_bool, c_int, c_size_t, c_uint64, c_void_p
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from moat.session.terminal import ghostty_abi as abi
from moat.session.terminal.ghostty_abi import (
    CursorShape,
    Data,
    Emit,
    GhosttyError,
    Option,
    RenderData,
    Space,
)
from moat.session.terminal.ghostty_cells import RawRow, Render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ctypes import _CFunctionType as CallbackFunction  # pyright: ignore[reportPrivateUsage]  has no public name

# Pixels of a cell as size reports tell it: what most terminals have at their default font size.
CELL_WIDTH: Final = 8
CELL_HEIGHT: Final = 16

# Bytes of an unfinished sequence that are kept for a copy of the terminal.
MAX_CONTINUATION: Final = 1024 * 1024

_ANSI_MODE: Final = 1 << 15

# The first sixteen colours as the formatter writes them, and as programs do (SGR 30 to 47, 90 to
# 107). They are the same to most terminals, but not to all: some give an indexed colour a fixed value.
_INDEXED_BASIC: Final = re.compile(rb"\x1b\[([34])8;5;(\d|1[0-5])m")


def indexed(ground: int, index: int) -> bytes:
    """SGR for a colour of the palette; `ground` is 30 for the text and 40 for the background."""
    if index < 8:
        return b"\x1b[%dm" % (ground + index)
    if index < 16:
        return b"\x1b[%dm" % (ground + 60 + index - 8)
    return b"\x1b[%d;5;%dm" % (ground + 8, index)


def _as_basic(sequence: re.Match[bytes]) -> bytes:
    return indexed(int(sequence[1]) * 10, int(sequence[2]))


@dataclass(frozen=True, slots=True)
class Region:
    """Cells from one to another, both included."""

    left: int
    top: int
    right: int
    bottom: int
    space: Space = Space.ACTIVE
    rectangle: bool = False
    """Whether it is a box of cells rather than text that runs on from row to row."""


Extra = Literal[
    "palette",
    "scrolling_region",
    "tabstops",
    "keyboard",
    "style",
    "hyperlink",
    "protection",
    "charsets",
]
"""State that the formatter can write besides cells."""


def start(columns: int, rows: int) -> Terminal:
    """An empty terminal."""
    handle = c_void_p()
    result = abi.library().ghostty_terminal_new(None, byref(handle), columns, rows)
    abi.check(result, f"start with the size {columns}x{rows}")
    return Terminal(handle)


def decode(snapshot: bytes, max_continuation: int) -> Terminal:
    """The terminal that `Terminal.encode` has written, in the middle of a sequence if it was.

    Callbacks and defaults (colours, limits) are to be set anew. A damaged snapshot, or one of
    another version of the library, is a `GhosttyError`.
    """
    lib = abi.library()
    decoder, handle = c_void_p(), c_void_p()
    abi.check(
        lib.ghostty_snapshot_decoder_new_buf(None, byref(decoder), snapshot, len(snapshot)),
        "read a snapshot",
    )
    try:
        for option, value in (
            (abi.SNAPSHOT_MAX_CONTINUATION_BYTES, c_size_t(max_continuation)),
            (abi.SNAPSHOT_RETAIN_CONTINUATION, c_bool(True)),
        ):
            result = lib.ghostty_snapshot_decoder_set(decoder, option, byref(value))
            abi.check(result, "bound a snapshot")
        result = lib.ghostty_snapshot_decoder_decode(decoder, byref(handle))
        abi.check(result, "decode a snapshot")
    finally:
        lib.ghostty_snapshot_decoder_free(decoder)
    return Terminal(handle)


class Terminal:
    """The emulator's state. Not for use by two threads at a time; `close` frees it."""

    def __init__(self, handle: c_void_p) -> None:
        """Takes the handle over; see `start` and `decode`."""
        self._lib = abi.library()
        self._handle: c_void_p | None = handle
        # The library keeps the addresses of callbacks only, so they have to live here.
        self._callbacks: dict[Option, object] = {}

    def close(self) -> None:
        if self._handle is not None:
            self._lib.ghostty_terminal_free(self._handle)
            self._handle = None
            self._callbacks.clear()

    @property
    def _open(self) -> c_void_p:
        if self._handle is None:
            raise GhosttyError("the terminal emulator is closed")
        return self._handle

    def write(self, data: bytes | memoryview, length: int | None = None) -> None:
        """Feeds output of the program, the first `length` bytes of it; bytes are not copied."""
        if not isinstance(data, bytes):
            data = bytes(data)
        size = len(data) if length is None else length
        self._lib.ghostty_terminal_vt_write(self._open, data, size)

    def resize(self, columns: int, rows: int) -> None:
        abi.check(
            self._lib.ghostty_terminal_resize(self._open, columns, rows, CELL_WIDTH, CELL_HEIGHT),
            f"take the size {columns}x{rows}",
        )

    # --- settings ---

    def _set(self, option: Option, value: object) -> None:
        abi.check(
            self._lib.ghostty_terminal_set(self._open, option, value), f"set {option.name.lower()}"
        )

    def set_limit(self, option: Option, limit: int) -> None:
        self._set(option, byref(c_uint64(limit)))

    def set_flag(self, option: Option, *, on: bool) -> None:
        self._set(option, byref(c_bool(on)))

    def set_color(self, option: Option, red: int, green: int, blue: int) -> None:
        self._set(option, byref(abi.Rgb(red, green, blue)))

    def set_name(self, option: Option, name: bytes) -> None:
        buffer = ctypes.create_string_buffer(name)
        self._set(option, byref(abi.String(ctypes.addressof(buffer), len(name))))

    def set_default_cursor(self, shape: CursorShape) -> None:
        self._set(Option.DEFAULT_CURSOR_STYLE, byref(c_int(shape)))

    def on_reply(self, take: Callable[[bytes], None]) -> None:
        """`take` gets each answer to a query of the program's, during `write` or `resize`."""

        def write(_terminal: int, _user: int, data: int, length: int) -> None:
            take(ctypes.string_at(data, length))

        self._callback(Option.WRITE_PTY, abi.WritePtyFn(write))

    def answer_size(self) -> None:
        """Answers CSI 14 t, 16 t and 18 t; without this they are left unanswered."""

        def report(_terminal: int, _user: int, out: int) -> bool:
            size = abi.ReportedSize.from_address(out)
            size.rows, size.columns = self.get(Data.ROWS), self.get(Data.COLUMNS)
            size.cell_width, size.cell_height = CELL_WIDTH, CELL_HEIGHT
            return True

        self._callback(Option.SIZE, abi.AskFn(report))

    def answer_dark(self) -> None:
        """Answers CSI ? 996 n: the colours are light on dark."""

        def scheme(_terminal: int, _user: int, out: int) -> bool:
            c_int.from_address(out).value = abi.COLOR_SCHEME_DARK
            return True

        self._callback(Option.COLOR_SCHEME, abi.AskFn(scheme))

    def _callback(self, option: Option, function: CallbackFunction) -> None:
        self._callbacks[option] = function
        self._set(option, ctypes.cast(function, c_void_p))

    # --- state ---

    def get(self, data: Data) -> int:
        # Zeroed and as wide as the widest: the library writes the low bytes only (little endian).
        out = c_uint64(0)
        abi.check(self._lib.ghostty_terminal_get(self._open, data, byref(out)), f"tell {data.name}")
        return out.value

    def title(self) -> bytes:
        out = abi.String()
        abi.check(
            self._lib.ghostty_terminal_get(self._open, abi.DATA_TITLE, byref(out)), "tell title"
        )
        return ctypes.string_at(out.data, out.length) if out.length else b""

    def mode(self, number: int, *, ansi: bool = False) -> bool:
        """Whether a DEC private (or with `ansi` an ANSI) mode is set."""
        config = abi.ModeConfig(number | (_ANSI_MODE if ansi else 0), False)
        abi.check(
            self._lib.ghostty_terminal_get(self._open, abi.DATA_MODE, byref(config)),
            f"tell mode {number}",
        )
        return bool(config.value)

    def cursor_shape(self) -> tuple[CursorShape, bool]:
        """The cursor's shape, and whether it blinks."""
        with Render(self._lib, self._open) as render:
            return (
                CursorShape(render.get(RenderData.CURSOR_SHAPE)),
                bool(render.get(RenderData.CURSOR_BLINKING)),
            )

    # --- cells ---

    def rows(self, first: int, count: int) -> list[RawRow]:
        """Rows of raw cells, counted as by `Space.SCREEN`."""
        rows: list[RawRow] = []
        height = self.get(Data.ROWS)
        top = self.get(Data.TOTAL_ROWS) - height
        try:
            while len(rows) < count:
                seen_from = min(first + len(rows), top)
                self._scroll(abi.SCROLL_TO_ROW, seen_from)
                with Render(self._lib, self._open) as render:
                    seen = render.rows()
                rows += seen[first + len(rows) - seen_from :][: count - len(rows)]
        finally:
            self._scroll(abi.SCROLL_TO_BOTTOM, 0)
        return rows

    def _scroll(self, tag: int, row: int) -> None:
        target = abi.ScrollViewport(tag, abi.ScrollViewportValue(row))
        self._lib.ghostty_terminal_scroll_viewport(self._open, target)

    def link(self, x: int, y: int, space: Space) -> bytes:
        """The address that the cell links to; empty for none."""
        reference = self._reference(x, y, space)
        length = c_size_t()
        call = self._lib.ghostty_grid_ref_hyperlink_uri
        if call(byref(reference), None, 0, byref(length)) != abi.OUT_OF_SPACE:
            return b""
        buffer = ctypes.create_string_buffer(length.value)
        abi.check(call(byref(reference), buffer, length.value, byref(length)), "tell a link")
        return buffer.raw[: length.value]

    def _reference(self, x: int, y: int, space: Space) -> abi.GridRef:
        """Valid until the terminal changes."""
        reference = abi.GridRef(ctypes.sizeof(abi.GridRef))
        abi.check(
            self._lib.ghostty_terminal_grid_ref(
                self._open, abi.Point(space, abi.PointValue(x, y)), byref(reference)
            ),
            f"find the cell {x},{y}",
        )
        return reference

    # --- writing it out ---

    def format(
        self,
        emit: Emit,
        region: Region,
        extras: Iterable[Extra] = (),
        *,
        unwrap: bool = False,
        trim: bool = False,
    ) -> bytes:
        """The region's text, one line for each row (`unwrap`: for each line of the program's).

        As VT each row begins and ends without attributes; rows without text come out empty even
        where they have a background, and hyperlinks are left out.
        """
        options = abi.FormatOptions(ctypes.sizeof(abi.FormatOptions), emit, unwrap, trim)
        options.extra.size = ctypes.sizeof(abi.TerminalExtra)
        options.extra.screen.size = ctypes.sizeof(abi.ScreenExtra)
        for extra in extras:
            on_screen = extra in abi.SCREEN_EXTRAS
            setattr(options.extra.screen if on_screen else options.extra, extra, True)
        selection = abi.Selection(
            ctypes.sizeof(abi.Selection),
            self._reference(region.left, region.top, region.space),
            self._reference(region.right, region.bottom, region.space),
            region.rectangle,
        )
        options.selection = ctypes.pointer(selection)
        formatter = c_void_p()
        abi.check(
            self._lib.ghostty_formatter_terminal_new(None, byref(formatter), self._open, options),
            "format",
        )
        try:
            text = self._taken(self._lib.ghostty_formatter_format_alloc, formatter, "format")
        finally:
            self._lib.ghostty_formatter_free(formatter)
        return _INDEXED_BASIC.sub(_as_basic, text) if emit is Emit.VT else text

    def continuation(self) -> bytes:
        """The beginning of the sequence that it is in the middle of. Fails for one too long."""
        return self._taken(
            self._lib.ghostty_terminal_continuation_alloc, self._open, "tell a sequence"
        )

    def encode(self) -> bytes:
        """All of its state. Fails in the middle of a sequence longer than is kept for this."""
        return self._taken(self._lib.ghostty_snapshot_encode_alloc, self._open, "encode a snapshot")

    def _taken(self, call: Callable[..., int], handle: c_void_p, what: str) -> bytes:
        data, length = c_void_p(), c_size_t()
        abi.check(call(handle, None, byref(data), byref(length)), what)
        try:
            return ctypes.string_at(data, length.value) if length.value else b""
        finally:
            self._lib.ghostty_free(None, data, length)
