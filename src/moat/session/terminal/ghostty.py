"""One emulated terminal of libghostty-vt as a Python object, and nothing more.

`screen` makes use of it; `ghostty_abi` has the C declarations.
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

# A cell's size in pixels for size reports: that of most terminals with their default font.
CELL_WIDTH: Final = 8
CELL_HEIGHT: Final = 16

# The most bytes of an incomplete sequence that are kept for a copy of the terminal.
MAX_CONTINUATION: Final = 1024 * 1024

_ANSI_MODE: Final = 1 << 15

# The formatter writes the first sixteen colours as indexed ones, programs as SGR 30 to 47 and 90 to
# 107. Most terminals make no difference, but some give indexed colours fixed values.
_INDEXED_BASIC: Final = re.compile(rb"\x1b\[([34])8;5;(\d|1[0-5])m")


def indexed(ground: int, index: int) -> bytes:
    """Return the SGR for a colour of the palette; `ground` is 30 for text and 40 for background."""
    if index < 8:
        return b"\x1b[%dm" % (ground + index)
    if index < 16:
        return b"\x1b[%dm" % (ground + 60 + index - 8)
    return b"\x1b[%d;5;%dm" % (ground + 8, index)


def _as_basic(sequence: re.Match[bytes]) -> bytes:
    return indexed(int(sequence[1]) * 10, int(sequence[2]))


@dataclass(frozen=True, slots=True)
class Region:
    """The cells from one to another, both included."""

    left: int
    top: int
    right: int
    bottom: int
    space: Space = Space.ACTIVE
    rectangle: bool = False
    """Tells a box of cells from text that runs on from row to row."""


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
"""A part of the state that the formatter can write besides cells."""


def start(columns: int, rows: int) -> Terminal:
    """Return an empty terminal."""
    handle = c_void_p()
    result = abi.library().ghostty_terminal_new(None, byref(handle), columns, rows)
    abi.check(result, f"start with the size {columns}x{rows}")
    return Terminal(handle)


def decode(snapshot: bytes, max_continuation: int) -> Terminal:
    """Return the terminal that `Terminal.encode` has written, even in the middle of a sequence.

    Callbacks and defaults (colours, limits) have to be set anew. Raises `GhosttyError` for a damaged
    snapshot, and for one of another version of the library.
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
    """The emulator's state. Not thread-safe; `close` frees it."""

    def __init__(self, handle: c_void_p) -> None:
        """Take over the handle; see `start` and `decode`."""
        self._lib = abi.library()
        self._handle: c_void_p | None = handle
        # The library keeps nothing but the addresses of callbacks, so they have to live here.
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
        """Feed output of the program, or its first `length` bytes, which are not copied."""
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
        """Call `take` with each answer to a query of the program, during `write` or `resize`."""

        def write(_terminal: int, _user: int, data: int, length: int) -> None:
            take(ctypes.string_at(data, length))

        self._callback(Option.WRITE_PTY, abi.WritePtyFn(write))

    def answer_size(self) -> None:
        """Answer CSI 14 t, 16 t and 18 t, which are ignored otherwise."""

        def report(_terminal: int, _user: int, out: int) -> bool:
            size = abi.ReportedSize.from_address(out)
            size.rows, size.columns = self.get(Data.ROWS), self.get(Data.COLUMNS)
            size.cell_width, size.cell_height = CELL_WIDTH, CELL_HEIGHT
            return True

        self._callback(Option.SIZE, abi.AskFn(report))

    def answer_dark(self) -> None:
        """Answer CSI ? 996 n: the colours are light on dark."""

        def scheme(_terminal: int, _user: int, out: int) -> bool:
            c_int.from_address(out).value = abi.COLOR_SCHEME_DARK
            return True

        self._callback(Option.COLOR_SCHEME, abi.AskFn(scheme))

    def _callback(self, option: Option, function: CallbackFunction) -> None:
        self._callbacks[option] = function
        self._set(option, ctypes.cast(function, c_void_p))

    # --- state ---

    def get(self, data: Data) -> int:
        # As wide as the widest value, and zeroed: of a narrow one the library writes the low bytes only
        # (little endian).
        out = c_uint64(0)
        abi.check(self._lib.ghostty_terminal_get(self._open, data, byref(out)), f"give {data.name}")
        return out.value

    def title(self) -> bytes:
        out = abi.String()
        abi.check(
            self._lib.ghostty_terminal_get(self._open, abi.DATA_TITLE, byref(out)), "give the title"
        )
        return ctypes.string_at(out.data, out.length) if out.length else b""

    def mode(self, number: int, *, ansi: bool = False) -> bool:
        """Return whether a DEC private mode (with `ansi` an ANSI mode) is set."""
        config = abi.ModeConfig(number | (_ANSI_MODE if ansi else 0), False)
        abi.check(
            self._lib.ghostty_terminal_get(self._open, abi.DATA_MODE, byref(config)),
            f"give mode {number}",
        )
        return bool(config.value)

    def cursor_shape(self) -> tuple[CursorShape, bool]:
        """Return the cursor's shape, and whether it blinks."""
        with Render(self._lib, self._open) as render:
            return (
                CursorShape(render.get(RenderData.CURSOR_SHAPE)),
                bool(render.get(RenderData.CURSOR_BLINKING)),
            )

    # --- cells ---

    def rows(self, first: int, count: int) -> list[RawRow]:
        """Return rows of raw cells; `first` is a number in `Space.SCREEN`."""
        rows: list[RawRow] = []
        height = self.get(Data.ROWS)
        top = self.get(Data.TOTAL_ROWS) - height
        try:
            while len(rows) < count:
                scrolled_to = min(first + len(rows), top)
                self._scroll(abi.SCROLL_TO_ROW, scrolled_to)
                with Render(self._lib, self._open) as render:
                    visible = render.rows()
                rows += visible[first + len(rows) - scrolled_to :][: count - len(rows)]
        finally:
            self._scroll(abi.SCROLL_TO_BOTTOM, 0)
        return rows

    def _scroll(self, tag: int, row: int) -> None:
        target = abi.ScrollViewport(tag, abi.ScrollViewportValue(row))
        self._lib.ghostty_terminal_scroll_viewport(self._open, target)

    def link(self, x: int, y: int, space: Space) -> bytes:
        """Return the address that the cell links to; empty for none."""
        reference = self._reference(x, y, space)
        length = c_size_t()
        call = self._lib.ghostty_grid_ref_hyperlink_uri
        if call(byref(reference), None, 0, byref(length)) != abi.OUT_OF_SPACE:
            return b""
        buffer = ctypes.create_string_buffer(length.value)
        abi.check(call(byref(reference), buffer, length.value, byref(length)), "give a link")
        return buffer.raw[: length.value]

    def _reference(self, x: int, y: int, space: Space) -> abi.GridRef:
        """Return a reference to a cell, which is valid until the terminal changes."""
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
        """Return the region's text, one line for each row (`unwrap`: for each line of the program's).

        As VT, each row begins and ends without attributes. Hyperlinks are left out, and a row without
        text is empty even if it has a background.
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
            text = self._bytes_of(self._lib.ghostty_formatter_format_alloc, formatter, "format")
        finally:
            self._lib.ghostty_formatter_free(formatter)
        return _INDEXED_BASIC.sub(_as_basic, text) if emit is Emit.VT else text

    def continuation(self) -> bytes:
        """Return the beginning of an incomplete sequence. Raises `GhosttyError` if it is too long."""
        return self._bytes_of(
            self._lib.ghostty_terminal_continuation_alloc, self._open, "give an incomplete sequence"
        )

    def encode(self) -> bytes:
        """Return the whole state. Raises `GhosttyError` in the middle of an overlong sequence."""
        return self._bytes_of(
            self._lib.ghostty_snapshot_encode_alloc, self._open, "encode a snapshot"
        )

    def _bytes_of(self, call: Callable[..., int], handle: c_void_p, action: str) -> bytes:
        """Copy, and free, bytes that the library has allocated."""
        data, length = c_void_p(), c_size_t()
        abi.check(call(handle, None, byref(data), byref(length)), action)
        try:
            return ctypes.string_at(data, length.value) if length.value else b""
        finally:
            self._lib.ghostty_free(None, data, length)
