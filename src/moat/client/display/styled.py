"""The emulator's HTML of a screen, read into lines of styled text. Pure.

Its own form can't be shown as it is. It leaves reversed text without a background, and it has links,
whose targets a hostile program chooses. The links are left out here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Final

FOREGROUND: Final = "#c5c8c6"
BACKGROUND: Final = "#1d1f21"

_PALETTE: Final = re.compile(r"--vt-palette-(\d+): (#[0-9a-f]{6});")
_INDEX: Final = re.compile(r"var\(--vt-palette-(\d+)\)")
_RGB: Final = re.compile(r"rgb\((\d+), (\d+), (\d+)\)")
_LINES: Final = frozenset({"underline", "line-through", "overline"})


@dataclass(frozen=True, slots=True)
class Style:
    """The look of text. Colours are `#rrggbb`, or `None` for the terminal's own."""

    color: str | None = None
    background: str | None = None
    bold: bool = False
    italic: bool = False
    faint: bool = False
    hidden: bool = False
    lines: frozenset[str] = frozenset()
    """A subset of `underline`, `line-through` and `overline`."""
    reverse: bool = False

    @property
    def shown(self) -> tuple[str, str | None]:
        """The colours of text and background as they are seen; no background is the terminal's own."""
        color, background = self.color or FOREGROUND, self.background
        if self.reverse:
            color, background = background or BACKGROUND, color
        return color, background


Line = list[tuple[str, Style]]
"""Pieces of text, from left to right."""


def lines(html: str) -> list[Line]:
    """Read the emulator's `<style>` with the palette and `<div>` with the screen."""
    parser = _Parser({int(index): color for index, color in _PALETTE.findall(html)})
    parser.feed(html)
    parser.close()
    return parser.lines


class _Parser(HTMLParser):
    def __init__(self, palette: dict[int, str]) -> None:
        super().__init__()
        self.lines: list[Line] = [[]]
        self._palette = palette
        self._styles = [Style()]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        declared = dict(attrs).get("style") or ""
        self._styles.append(self._declared(declared) if tag == "div" else self._styles[-1])

    def handle_endtag(self, tag: str) -> None:
        del tag  # the emulator closes what it opened
        if len(self._styles) > 1:
            self._styles.pop()

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is not None:  # the palette
            return
        for number, text in enumerate(data.split("\n")):
            if number:
                self.lines.append([])
            if text:
                self.lines[-1].append((text, self._styles[-1]))

    def _declared(self, text: str) -> Style:
        style = self._styles[-1]
        for declaration in text.split(";"):
            name, _, value = declaration.strip().partition(": ")
            match name:
                case "color":
                    style = replace(style, color=self._color(value))
                case "background-color":
                    style = replace(style, background=self._color(value))
                case "font-weight":
                    style = replace(style, bold=value == "bold")
                case "font-style":
                    style = replace(style, italic=value == "italic")
                case "opacity":
                    style = replace(style, faint=True)
                case "visibility":
                    style = replace(style, hidden=True)
                case "filter":
                    style = replace(style, reverse=True)
                case "text-decoration-line":
                    style = replace(style, lines=_LINES & set(value.split()))
                case _:
                    pass  # fonts, kinds of underlines
        return style

    def _color(self, value: str) -> str | None:
        if indexed := _INDEX.fullmatch(value):
            return self._palette.get(int(indexed[1]))
        if rgb := _RGB.fullmatch(value):
            return "#" + "".join(f"{min(int(each), 255):02x}" for each in rgb.groups())
        return None
