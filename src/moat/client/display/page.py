"""A screen as a whole HTML page, in the colours of a terminal. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from moat.client.display.styled import BACKGROUND, FOREGROUND

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moat.client.display.styled import Line, Style

_STYLE: Final = (
    "html{color-scheme:dark}"
    f"body{{margin:0;padding:1em;width:max-content;background:{BACKGROUND};color:{FOREGROUND}}}"
    "pre{margin:0;font-family:ui-monospace,monospace;line-height:1.2}"
)


def page(lines: Sequence[Line], title: str) -> str:
    """Return the page for a screen.

    The page loads nothing and runs nothing, whatever a hostile program has shown.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    text = spans(lines)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<pre>{text}\n</pre>\n</body>\n</html>\n"
    )


def spans(lines: Sequence[Line]) -> str:
    """Return the content of a `<pre>` for a screen."""
    return "\n".join("".join(_span(piece, style) for piece, style in line) for line in lines)


def _span(text: str, style: Style) -> str:
    declared = ";".join(_declarations(style))
    return f'<span style="{declared}">{escape(text)}</span>' if declared else escape(text)


def _declarations(style: Style) -> Iterator[str]:
    color, background = style.shown
    if color != FOREGROUND:
        yield f"color:{color}"
    if background is not None:
        yield f"background:{background}"
    if style.bold:
        yield "font-weight:bold"
    if style.italic:
        yield "font-style:italic"
    if style.faint:
        yield "opacity:.5"
    if style.hidden:
        yield "visibility:hidden"
    if style.lines:
        yield f"text-decoration:{' '.join(sorted(style.lines))}"
