"""The C side of libghostty-vt: the library, and the declarations that Moat needs of it.

The shared library comes with the package `pyghostty`, whose own Python layer is not imported. That
layer parses 80 KB of C declarations with cffi at each start, which takes 200 ms and 10 MB. To load the
library and declare these functions takes 13 ms and 2 MB. Supervisors are started often, and one stays
for each run.

The declarations are those of `ghostty/vt/*.h` at ghostty 6467b1dab, which pyghostty 0.1.3 ships.
Another build may number its options or lay out its structs otherwise, and the process would crash or,
worse, show something wrong. So the release and the version are checked when the library is loaded, and
one small terminal is tried.
Structs that begin with `size` are versioned by it. Tagged unions are passed by value, as structs of
the same layout: since they are larger than 16 bytes, both the x86-64 and the arm64 calling convention
pass them in memory.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    POINTER,
    Structure,
    c_bool,
    c_int,
    c_size_t,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
)
from enum import IntEnum
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moat.errors import MoatError

if TYPE_CHECKING:
    from collections.abc import Sequence

RELEASE: Final = "0.1.3"
"""The release of pyghostty that the declarations are for, as pyproject.toml pins it."""
VERSION: Final = b"0.1.0-dev"
"""The version that its library gives itself."""
_VERSION_STRING: Final = 5

SUCCESS: Final = 0
OUT_OF_SPACE: Final = -3
COLOR_SCHEME_DARK: Final = 1

# Members of `GhosttyTerminalData` whose values are no numbers.
DATA_TITLE: Final = 12
DATA_MODE: Final = 37


class GhosttyError(MoatError):
    """The terminal emulator is missing, or a call of it failed."""

    code = "terminal_emulator"


class Option(IntEnum):
    """`GhosttyTerminalOption`, each with the C type of its value."""

    WRITE_PTY = 1
    SIZE = 6
    COLOR_SCHEME = 7
    COLOR_FOREGROUND = 11
    COLOR_BACKGROUND = 12
    KITTY_IMAGE_STORAGE_LIMIT = 15
    APC_MAX_BYTES = 19
    APC_MAX_BYTES_KITTY = 20
    DEFAULT_CURSOR_STYLE = 22
    SCROLLBACK_MAX_BYTES = 27
    SCROLLBACK_MAX_LINES = 28
    CONTINUATION_MAX_BYTES = 31
    TITLE_REPORT = 32
    TERMINFO_NAME = 37
    CLIPBOARD_WRITE_MAX_BYTES = 39


class Data(IntEnum):
    """`GhosttyTerminalData`: the members whose values are numbers."""

    COLUMNS = 1
    ROWS = 2
    CURSOR_X = 3
    CURSOR_Y = 4
    CURSOR_PENDING_WRAP = 5
    ACTIVE_SCREEN = 6
    KITTY_KEYBOARD_FLAGS = 8
    TOTAL_ROWS = 14
    SCROLLBACK_ROWS = 15


class Emit(IntEnum):
    """`GhosttyFormatterFormat`."""

    PLAIN = 0
    VT = 1
    HTML = 2


class CursorShape(IntEnum):
    """`GhosttyTerminalCursorStyle`."""

    BAR = 0
    BLOCK = 1
    UNDERLINE = 2
    HOLLOW = 3


class Space(IntEnum):
    """`GhosttyPointTag`: the row that has the number 0."""

    ACTIVE = 0
    """The first row of the visible screen."""
    SCREEN = 2
    """The oldest row of the scrollback."""


class RowData(IntEnum):
    """`GhosttyRowData`."""

    WRAP = 1
    WRAP_CONTINUATION = 2
    HYPERLINK = 5


class CellData(IntEnum):
    """`GhosttyCellData`."""

    CONTENT_TAG = 2
    WIDE = 3
    HAS_TEXT = 4
    HAS_HYPERLINK = 7
    COLOR_PALETTE = 10
    COLOR_RGB = 11


class Content(IntEnum):
    """`GhosttyCellContentTag`: cells without text that have nothing but a background."""

    BACKGROUND_PALETTE = 2
    BACKGROUND_RGB = 3


class Wide(IntEnum):
    """`GhosttyCellWide`."""

    NARROW = 0
    WIDE = 1
    SPACER_TAIL = 2
    """The right half of a wide character."""
    SPACER_HEAD = 3
    """The last column, left free because the wide character that follows did not fit."""


class RenderData(IntEnum):
    """`GhosttyRenderStateData`."""

    ROW_ITERATOR = 4
    CURSOR_SHAPE = 10
    CURSOR_BLINKING = 12


SCROLL_TO_BOTTOM: Final = 1
SCROLL_TO_ROW: Final = 3

RENDER_ROW_RAW: Final = 2
RENDER_ROW_CELLS_RAW: Final = 5
SNAPSHOT_MAX_CONTINUATION_BYTES: Final = 0
SNAPSHOT_RETAIN_CONTINUATION: Final = 1


class Rgb(Structure):
    _fields_ = [("red", c_uint8), ("green", c_uint8), ("blue", c_uint8)]


class String(Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", c_size_t)]


class ModeConfig(Structure):
    _fields_ = [("mode", c_uint16), ("value", c_bool)]


class PointValue(Structure):
    _fields_ = [("x", c_uint16), ("y", c_uint32), ("_padding", c_uint64)]


class Point(Structure):
    """`GhosttyPoint`, with the one member of its union that is used."""

    _fields_ = [("tag", c_int), ("value", PointValue)]


class ScrollViewportValue(Structure):
    _fields_ = [("row", c_size_t), ("_padding", c_uint64)]


class ScrollViewport(Structure):
    """`GhosttyTerminalScrollViewport`, with the one member of its union that is used."""

    _fields_ = [("tag", c_int), ("value", ScrollViewportValue)]


class GridRef(Structure):
    _fields_ = [("size", c_size_t), ("node", ctypes.c_void_p), ("x", c_uint16), ("y", c_uint16)]


class Selection(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("start", GridRef),
        ("end", GridRef),
        ("rectangle", c_bool),
    ]


class ScreenExtra(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("cursor", c_bool),
        ("style", c_bool),
        ("hyperlink", c_bool),
        ("protection", c_bool),
        ("kitty_keyboard", c_bool),
        ("charsets", c_bool),
    ]


class TerminalExtra(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("palette", c_bool),
        ("modes", c_bool),
        ("scrolling_region", c_bool),
        ("tabstops", c_bool),
        ("pwd", c_bool),
        ("keyboard", c_bool),
        ("screen", ScreenExtra),
    ]


class FormatOptions(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("emit", c_int),
        ("unwrap", c_bool),
        ("trim", c_bool),
        ("extra", TerminalExtra),
        ("selection", POINTER(Selection)),
    ]


class CellsView(Structure):
    _fields_ = [("cells", POINTER(c_uint64)), ("length", c_size_t)]


class ReportedSize(Structure):
    _fields_ = [
        ("rows", c_uint16),
        ("columns", c_uint16),
        ("cell_width", c_uint32),
        ("cell_height", c_uint32),
    ]


WritePtyFn = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, c_size_t)
AskFn = ctypes.CFUNCTYPE(c_bool, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
"""A callback that writes its answer to the last argument."""

SCREEN_EXTRAS: Final = frozenset(name for name, *_ in ScreenExtra._fields_)

_P = ctypes.c_void_p
_SIGNATURES: Final[dict[str, tuple[Any, Sequence[Any]]]] = {
    "build_info": (c_int, [c_int, _P]),
    "free": (None, [_P, _P, c_size_t]),
    "terminal_new": (c_int, [_P, POINTER(_P), c_uint16, c_uint16]),
    "terminal_free": (None, [_P]),
    "terminal_resize": (c_int, [_P, c_uint16, c_uint16, c_uint32, c_uint32]),
    "terminal_set": (c_int, [_P, c_int, _P]),
    "terminal_vt_write": (None, [_P, _P, c_size_t]),
    "terminal_scroll_viewport": (None, [_P, ScrollViewport]),
    "terminal_continuation_alloc": (c_int, [_P, _P, POINTER(_P), POINTER(c_size_t)]),
    "terminal_get": (c_int, [_P, c_int, _P]),
    "terminal_grid_ref": (c_int, [_P, Point, POINTER(GridRef)]),
    "grid_ref_hyperlink_uri": (c_int, [POINTER(GridRef), _P, c_size_t, POINTER(c_size_t)]),
    "cell_get": (c_int, [c_uint64, c_int, _P]),
    "row_get": (c_int, [c_uint64, c_int, _P]),
    "formatter_terminal_new": (c_int, [_P, POINTER(_P), _P, FormatOptions]),
    "formatter_format_alloc": (c_int, [_P, _P, POINTER(_P), POINTER(c_size_t)]),
    "formatter_free": (None, [_P]),
    "snapshot_encode_alloc": (c_int, [_P, _P, POINTER(_P), POINTER(c_size_t)]),
    "snapshot_decoder_new_buf": (c_int, [_P, POINTER(_P), _P, c_size_t]),
    "snapshot_decoder_set": (c_int, [_P, c_int, _P]),
    "snapshot_decoder_decode": (c_int, [_P, POINTER(_P)]),
    "snapshot_decoder_free": (None, [_P]),
    "render_state_new": (c_int, [_P, POINTER(_P)]),
    "render_state_free": (None, [_P]),
    "render_state_update": (c_int, [_P, _P]),
    "render_state_get": (c_int, [_P, c_int, _P]),
    "render_state_row_iterator_new": (c_int, [_P, POINTER(_P)]),
    "render_state_row_iterator_free": (None, [_P]),
    "render_state_row_iterator_next": (c_bool, [_P]),
    "render_state_row_get": (c_int, [_P, c_int, _P]),
}


def _library_path() -> Path:
    spec = find_spec("pyghostty")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    for place in places:
        for suffix in ("so", "dylib"):
            path = Path(place, "_lib", f"libghostty-vt.{suffix}")
            if path.is_file():
                return path
    raise GhosttyError(
        "the terminal emulator is missing: no libghostty-vt in the package pyghostty",
        "Install Moat again, on a platform for which pyghostty has a wheel",
    )


@cache
def library() -> ctypes.CDLL:
    """Return the library with its functions declared. It is loaded once."""
    path = _library_path()
    try:
        loaded = ctypes.CDLL(str(path))
        for name, (result, parameters) in _SIGNATURES.items():
            function = getattr(loaded, f"ghostty_{name}")
            function.restype, function.argtypes = result, parameters
    except (OSError, AttributeError) as error:
        raise GhosttyError(
            f"the terminal emulator can't be loaded from {path}: {error}",
            "Install the release of pyghostty that Moat asks for",
        ) from error
    _check_build(loaded, path)
    return loaded


def _check_build(loaded: ctypes.CDLL, path: Path) -> None:
    """Raise `GhosttyError` unless this is the build that the declarations are for."""
    releases = [each.name for each in path.parent.parent.parent.glob("pyghostty-*.dist-info")]
    version = String()
    loaded.ghostty_build_info(_VERSION_STRING, ctypes.byref(version))
    found = ctypes.string_at(version.data, version.length) if version.data else b""
    if releases != [f"pyghostty-{RELEASE}.dist-info"] or found != VERSION:
        named = ", ".join(each.removesuffix(".dist-info") for each in releases) or "no release"
        raise GhosttyError(
            f"the terminal emulator is not the one that Moat is made for: {named},"
            f" version {found.decode(errors='replace') or 'unknown'}",
            f"Install that one: pip install pyghostty=={RELEASE}",
        )
    if (drawn := _try(loaded)) != _TRIED:
        raise GhosttyError(
            f"the terminal emulator doesn't do what Moat expects: it drew {drawn!r}",
            f"Install it again: pip install --force-reinstall pyghostty=={RELEASE}",
        )


_TRIED: Final = (3, 2, 2, 1, b"a\r\n \x1b[0m\x1b[38;5;1mb\x1b[0m")


def _try(loaded: ctypes.CDLL) -> tuple[object, ...]:
    """Return what a small terminal shows: numbers, and a formatter whose options go by value."""
    terminal, formatter, text = _P(), _P(), _P()
    number, length = c_uint16(), c_size_t()
    loaded.ghostty_terminal_new(None, ctypes.byref(terminal), 3, 2)
    try:
        output = b"a\n\x1b[31mb"
        loaded.ghostty_terminal_vt_write(terminal, output, len(output))
        numbers: list[int] = []
        for each in (Data.COLUMNS, Data.ROWS, Data.CURSOR_X, Data.CURSOR_Y):
            loaded.ghostty_terminal_get(terminal, each, ctypes.byref(number))
            numbers.append(number.value)
        options = FormatOptions(size=ctypes.sizeof(FormatOptions), emit=Emit.VT, trim=True)
        options.extra.size = ctypes.sizeof(TerminalExtra)
        options.extra.screen.size = ctypes.sizeof(ScreenExtra)
        loaded.ghostty_formatter_terminal_new(None, ctypes.byref(formatter), terminal, options)
        loaded.ghostty_formatter_format_alloc(
            formatter, None, ctypes.byref(text), ctypes.byref(length)
        )
        drawn = ctypes.string_at(text, length.value) if text else b""
        loaded.ghostty_free(None, text, length)
        loaded.ghostty_formatter_free(formatter)
    finally:
        loaded.ghostty_terminal_free(terminal)
    return (*numbers, drawn)


def check(result: int, action: str) -> None:
    """Raise `GhosttyError` for any `GhosttyResult` but success."""
    if result != SUCCESS:
        raise GhosttyError(f"the terminal emulator can't {action}: result {result}")
