"""A screen as an SVG picture, for reports. Pure.

Every piece of text is set to the width of its cells, so that columns stay columns in any font.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from moat.client.display.styled import BACKGROUND, FOREGROUND
from moat.columns import width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moat.client.display.styled import Line, Style

# Pixels. Most monospaced fonts are 0.6 times as wide as they are high.
_FONT, _CELL_WIDTH, _CELL_HEIGHT, _BASELINE, _MARGIN = 14.0, 8.4, 17.0, 13.0, 10.0
_FAMILY: Final = "ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace"

# XML 1.0, production 2: what no document may contain, not even escaped.
_FORBIDDEN: Final = re.compile("[^\\t\\n\\r\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def picture(lines: Sequence[Line], title: str, columns: int, rows: int) -> str:
    """Return the picture of a screen of so many columns and rows."""
    across, down = columns * _CELL_WIDTH + 2 * _MARGIN, rows * _CELL_HEIGHT + 2 * _MARGIN
    content = "\n".join(element for row, line in enumerate(lines) for element in _row(line, row))
    return _FORBIDDEN.sub(
        "\N{REPLACEMENT CHARACTER}",
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across:g}" height="{down:g}"'
        f' viewBox="0 0 {across:g} {down:g}" font-family="{_FAMILY}" font-size="{_FONT:g}">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="100%" height="100%" fill="{BACKGROUND}"/>\n'
        f'<g fill="{FOREGROUND}" xml:space="preserve">\n{content}\n</g>\n</svg>\n',
    )


def _row(line: Line, row: int) -> Iterator[str]:
    column, top = 0, _MARGIN + row * _CELL_HEIGHT
    for text, style in line:
        cells = width(text)
        left, across = _MARGIN + column * _CELL_WIDTH, cells * _CELL_WIDTH
        column += cells
        color, background = style.shown
        if background is not None:
            yield (
                f'<rect x="{left:g}" y="{top:g}" width="{across:g}" height="{_CELL_HEIGHT:g}"'
                f' fill="{background}"/>'
            )
        if cells and not style.hidden and (style.lines or not text.isspace()):
            place = f'x="{left:g}" y="{top + _BASELINE:g}" textLength="{across:g}"'
            look = "".join(_attributes(style, color))
            yield f'<text {place} lengthAdjust="spacingAndGlyphs"{look}>{escape(text)}</text>'


def _attributes(style: Style, color: str) -> Iterator[str]:
    if color != FOREGROUND:
        yield f' fill="{color}"'
    if style.bold:
        yield ' font-weight="bold"'
    if style.italic:
        yield ' font-style="italic"'
    if style.faint:
        yield ' fill-opacity=".5"'
    if style.lines:
        yield f' text-decoration="{" ".join(sorted(style.lines))}"'
