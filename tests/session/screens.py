"""Screens compared with each other, and output to compare them after."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st

from moat.session.terminal.ghostty import Region
from moat.session.terminal.ghostty_abi import CursorShape, Data, Emit, Space
from moat.session.terminal.ghostty_cells import describe
from moat.session.terminal.screen import Screen

SCROLLBACK = 50


def cells_of(row: bytes) -> list[tuple[str, bytes]]:
    """Return the characters with their visible attributes, without the empty end."""
    cells: list[tuple[str, bytes]] = []
    style = b""
    row = row.replace(b"\x1b[?7l", b"").replace(b"\x1b[?7h", b"")
    for sgr, text in re.findall(rb"((?:\x1b\[[0-9;:]*m)*)([^\x1b]*)", row):
        if sgr:
            style = sgr.rpartition(b"\x1b[0m")[2]
        seen = style if re.search(rb"\[(48|7|4|9|53)\b", style) else b""
        cells.extend(
            (character, seen if character == " " else style) for character in text.decode()
        )
    while cells and cells[-1] == (" ", b""):
        cells.pop()
    return cells


def look(screen: Screen) -> dict[str, Any]:
    """Return all that is to be seen of a screen, and all that decides what output does to it."""
    state: dict[str, Any] = dict(screen.as_json())
    # Which of the three ways into the alternate screen were taken, and whether twice, is not kept.
    state["modes"] = {k: v for k, v in state["modes"].items() if not k.startswith("alternate_s")}
    terminal = screen._terminal
    columns, rows = screen.size.columns, screen.size.rows
    state["cells"] = [cells_of(row) for row in screen.rows_vt(0, columns, rows)]
    # Without white space: where rows were moved apart that had been one wrapped line, they stay one
    # for the program's screen. A viewer's can't be told so, and none would show it.
    state["contents"] = "".join(screen.contents().split())
    state["pending wrap"] = terminal.get(Data.CURSOR_PENDING_WRAP)
    shape, blinks = terminal.cursor_shape()
    # A cursor that the program did not choose is the viewer's own, and blinks as the viewer likes.
    state["shape"] = (shape, blinks and shape is not CursorShape.HOLLOW)
    del state["modes"]["cursor_blink"]
    state["keyboard"] = terminal.get(Data.KITTY_KEYBOARD_FLAGS)
    corner = Region(0, 0, 0, 0)
    for extra in ("scrolling_region", "tabstops", "keyboard", "style", "hyperlink", "protection"):
        text = terminal.format(Emit.VT, corner)
        state[extra] = terminal.format(Emit.VT, corner, (extra,)).replace(text, b"", 1)
    state["links"] = {
        (x, y): terminal.link(x, y, Space.ACTIVE)
        for y, row in enumerate(terminal.rows(terminal.get(Data.TOTAL_ROWS) - rows, rows))
        if row.links
        for x, raw in enumerate(row.cells)
        if describe(raw).link and describe(raw).text
    }
    return state


def after(screen: Screen, output: bytes, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return how the screen looks after more output; the screen itself stays as it is."""
    copy = copy_of(screen)
    copy.feed(output)
    looks = look(copy)
    copy.close()
    return {name: value for name, value in looks.items() if name not in without}


def copy_of(screen: Screen) -> Screen:
    snapshot = screen.snapshot()
    assert snapshot is not None
    return Screen.from_snapshot(snapshot, SCROLLBACK)


def assert_same(one: Screen, other: Screen, *, scrollback: bool = True) -> None:
    """Compare two screens now, and after output that shows what is not visible now."""
    unlike = () if scrollback else ("contents",)
    reveal = [b"", b"\x1b8.", b"x\r\ny", b"\x0eq\x0fq", b"\x1b[<u"]
    if one.alternate:
        number = next(n for n in (1049, 1047, 47) if one._terminal.mode(n))
        reveal.append(b"\x1b[?%dl." % number)
    for revealing in reveal:
        ours, theirs = after(one, revealing, unlike), after(other, revealing, unlike)
        assert {k: (ours[k], theirs[k]) for k in ours if ours[k] != theirs[k]} == {}, revealing


def pieces(alternate_by: int) -> st.SearchStrategy[bytes]:
    number = st.integers(0, 25)
    text = st.text(
        st.sampled_from("abc  xyz你好é👍🏽\u0301─│\t\r\n\n\b"), min_size=1, max_size=30
    ).map(str.encode)
    move = st.builds(lambda n, f: b"\x1b[%d%c" % (n, f), number, st.sampled_from(b"ABCDEFGd`ae"))
    place = st.builds(lambda y, x: b"\x1b[%d;%dH" % (y, x), number, number)
    erase = st.builds(lambda n, f: b"\x1b[%d%c" % (n, f), st.integers(0, 2), st.sampled_from(b"JK"))
    edit = st.builds(lambda n, f: b"\x1b[%d%c" % (n, f), number, st.sampled_from(b"@PLMSTXb"))
    margins = st.builds(lambda a, b: b"\x1b[%d;%dr" % (a, b), number, number)
    style = st.sampled_from(
        [
            b"",
            b"1",
            b"3",
            b"4",
            b"7",
            b"9",
            b"31",
            b"44",
            b"38;5;200",
            b"48;2;1;2;3",
            b"4:3",
            b"39;49",
        ]
    ).map(lambda body: b"\x1b[%bm" % body)
    mode = st.builds(
        lambda n, f: b"\x1b[?%d%c" % (n, f),
        st.sampled_from([1, 5, 6, 7, 25, 45, 66, 1000, 1002, 1003, 1004, 1006, 2004]),
        st.sampled_from(b"hl"),
    )
    alternate = st.sampled_from(b"hl").map(lambda f: b"\x1b[?%d%c" % (alternate_by, f))
    other = st.sampled_from(
        [
            b"\x1b7",
            b"\x1b8",
            b"\x1bD",
            b"\x1bM",
            b"\x1bE",
            b"\x1bH",
            b"\x1b[3g",
            # One piece: the emulator makes wide blanks of what the line-drawing set doesn't have.
            b"\x1b(0lqqk\x1b(B",
            b"\x1b[4h",
            b"\x1b[4l",
            b"\x1b[2 q",
            b"\x1b[5 q",
            b"\x1b[0 q",
            b"\x1b=",
            b"\x1b>",
            b"\x1b[>1u",
            b"\x1b[>9u",
            b"\x1b[<u",
            b"\x1b[>4;2m",
            b"\x1b]8;;http://example.com/\x1b\\",
            b"\x1b]8;;\x1b\\",
            b"\x1b]2;a title\x07",
            b"\x1b#8",
            b"\x1bc",
            b"\x1b[!p",
        ]
    )
    return st.one_of(text, text, move, place, erase, edit, margins, style, mode, alternate, other)
