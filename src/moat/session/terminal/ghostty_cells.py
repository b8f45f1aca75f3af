"""The cells of an emulated terminal, as its renderer sees them."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_bool, c_uint64, c_void_p
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Self, TypeAlias

from moat.session.terminal import ghostty_abi as abi
from moat.session.terminal.ghostty_abi import CellData, Content, RenderData, RowData, Wide

RawCells: TypeAlias = "memoryview[int]"
"""Numbers of 64 bits, which `describe` explains."""


class RawRow(NamedTuple):
    cells: RawCells
    wraps: bool
    """The row's text goes on in the next row without a line feed."""
    continues: bool
    """The row goes on with the text of the row before."""
    links: bool
    """The row may have cells with a hyperlink."""


Color: TypeAlias = "int | tuple[int, int, int]"
"""An index into the palette, or red, green and blue."""


@dataclass(frozen=True, slots=True)
class Cell:
    text: bool
    wide: Wide
    link: bool
    background: Color | None
    """Set for a cell that has nothing but a background."""


@lru_cache(maxsize=4096)
def describe(raw: int) -> Cell:
    """Decode a raw cell. Cached, since a screen has few different cells."""
    background: Color | None = None
    tag = _cell_number(raw, CellData.CONTENT_TAG)
    if tag == Content.BACKGROUND_PALETTE:
        background = _cell_number(raw, CellData.COLOR_PALETTE)
    elif tag == Content.BACKGROUND_RGB:
        color = abi.Rgb()
        abi.check(
            abi.library().ghostty_cell_get(raw, CellData.COLOR_RGB, byref(color)), "read a cell"
        )
        background = (color.red, color.green, color.blue)
    return Cell(
        text=bool(_cell_number(raw, CellData.HAS_TEXT)),
        wide=Wide(_cell_number(raw, CellData.WIDE)),
        link=bool(_cell_number(raw, CellData.HAS_HYPERLINK)),
        background=background,
    )


def _cell_number(raw: int, data: CellData) -> int:
    out = c_uint64(0)
    abi.check(abi.library().ghostty_cell_get(raw, data, byref(out)), "read a cell")
    return out.value


class Render:
    """A snapshot of a terminal for a renderer. Use as a context manager."""

    def __init__(self, lib: ctypes.CDLL, terminal: c_void_p) -> None:
        self._lib = lib
        self._state = c_void_p()
        abi.check(lib.ghostty_render_state_new(None, byref(self._state)), "render")
        abi.check(lib.ghostty_render_state_update(self._state, terminal), "render")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._lib.ghostty_render_state_free(self._state)

    def get(self, data: RenderData) -> int:
        out = c_uint64(0)
        abi.check(self._lib.ghostty_render_state_get(self._state, data, byref(out)), "render")
        return out.value

    def rows(self) -> list[RawRow]:
        iterator = c_void_p()
        abi.check(self._lib.ghostty_render_state_row_iterator_new(None, byref(iterator)), "render")
        try:
            result = self._lib.ghostty_render_state_get(
                self._state, RenderData.ROW_ITERATOR, byref(iterator)
            )
            abi.check(result, "render")
            rows: list[RawRow] = []
            while self._lib.ghostty_render_state_row_iterator_next(iterator):
                rows.append(self._row(iterator))
            return rows
        finally:
            self._lib.ghostty_render_state_row_iterator_free(iterator)

    def _row(self, iterator: c_void_p) -> RawRow:
        view, raw = abi.CellsView(), c_uint64()
        get = self._lib.ghostty_render_state_row_get
        abi.check(get(iterator, abi.RENDER_ROW_CELLS_RAW, byref(view)), "render")
        abi.check(get(iterator, abi.RENDER_ROW_RAW, byref(raw)), "render")
        return RawRow(
            memoryview(ctypes.string_at(view.cells, view.length * 8)).cast("Q"),
            wraps=self._flag(raw, RowData.WRAP),
            continues=self._flag(raw, RowData.WRAP_CONTINUATION),
            links=self._flag(raw, RowData.HYPERLINK),
        )

    def _flag(self, raw: c_uint64, data: RowData) -> bool:
        out = c_bool()
        abi.check(self._lib.ghostty_row_get(raw, data, byref(out)), "read a row")
        return out.value
