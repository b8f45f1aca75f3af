"""The binding of libghostty-vt: loading, calls, and failures."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from moat.session.terminal import ghostty, ghostty_abi
from moat.session.terminal.ghostty import Region
from moat.session.terminal.ghostty_abi import (
    CursorShape,
    Data,
    Emit,
    GhosttyError,
    Option,
    Space,
    Wide,
)
from moat.session.terminal.ghostty_cells import Cell, describe


def terminal_of(output: bytes, columns: int = 20, rows: int = 4) -> ghostty.Terminal:
    terminal = ghostty.start(columns, rows)
    terminal.write(output)
    return terminal


def test_neither_cffi_nor_the_package_is_imported() -> None:
    """The binding exists to avoid both."""
    program = (
        "import sys, moat.session.terminal.screen as s, moat.spec as m; s.Screen(m.TerminalSize(), 9);"
        "print([name for name in ('cffi', 'pyghostty', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd="/"
    )
    assert done.stdout == "[]\n"


def test_structs_have_the_sizes_of_the_headers() -> None:
    """Structs are laid out as by a C compiler for 64 bits: a wrong one would crash the process."""
    sizes = {
        ghostty_abi.Rgb: 3,
        ghostty_abi.String: 16,
        ghostty_abi.ModeConfig: 4,
        ghostty_abi.Point: 24,
        ghostty_abi.ScrollViewport: 24,
        ghostty_abi.GridRef: 24,
        ghostty_abi.Selection: 64,
        ghostty_abi.ScreenExtra: 16,
        ghostty_abi.TerminalExtra: 32,
        ghostty_abi.FormatOptions: 56,
        ghostty_abi.CellsView: 16,
        ghostty_abi.ReportedSize: 12,
    }
    assert {struct: ctypes.sizeof(struct) for struct in sizes} == sizes


def test_a_missing_library_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what is missing and what to do."""
    monkeypatch.setattr(ghostty_abi, "find_spec", lambda _name: None)
    ghostty_abi.library.cache_clear()
    with pytest.raises(GhosttyError, match="emulator is missing") as caught:
        ghostty_abi.library()
    assert caught.value.hint is not None
    monkeypatch.undo()
    ghostty_abi.library()


def test_a_library_that_is_none_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file that is no library is a clear error, and so is one that lacks a function."""
    wrong = tmp_path / "libghostty-vt.so"
    wrong.write_bytes(b"no library")
    monkeypatch.setattr(ghostty_abi, "_library_path", lambda: wrong)
    ghostty_abi.library.cache_clear()
    with pytest.raises(GhosttyError, match="can't be loaded"):
        ghostty_abi.library()
    monkeypatch.undo()
    ghostty_abi.library()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RELEASE", "0.1.4", "not the one that Moat is made for: pyghostty-"),
        ("VERSION", b"9.9.9", "not the one that Moat is made for: pyghostty-"),
        ("_TRIED", (3, 2, 2, 1, b"other"), "doesn't do what Moat expects"),
    ],
)
def test_another_build_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, said: str
) -> None:
    """Its options may have other numbers: nothing is called that could crash, or show what isn't so."""
    monkeypatch.setattr(ghostty_abi, name, value)
    ghostty_abi.library.cache_clear()
    with pytest.raises(GhosttyError, match=said) as caught:
        ghostty_abi.library()
    assert "pip install" in (caught.value.hint or "")
    monkeypatch.undo()
    ghostty_abi.library()


def test_the_build_that_is_asked_for_is_the_one_that_is_checked() -> None:
    """pyproject.toml pins the release that the declarations are for."""
    project = Path(__file__).parents[3] / "pyproject.toml"
    assert f'"pyghostty=={ghostty_abi.RELEASE}"' in project.read_text()


@pytest.mark.parametrize(("columns", "rows"), [(0, 5), (5, 0)])
def test_an_impossible_size_is_refused(columns: int, rows: int) -> None:
    """A size of zero is an error, at the start and later."""
    with pytest.raises(GhosttyError):
        ghostty.start(columns, rows)
    with pytest.raises(GhosttyError):
        terminal_of(b"").resize(columns, rows)


def test_numbers_modes_and_title() -> None:
    """Each part of the state can be read."""
    terminal = terminal_of(b"\x1b]2;a title\x07ab\x1b[?2004h\x1b[4h\x1b[?1049h\x1b[>5u")
    assert terminal.get(Data.COLUMNS) == 20
    assert terminal.get(Data.CURSOR_X) == 2
    assert terminal.get(Data.ACTIVE_SCREEN) == 1
    assert terminal.get(Data.KITTY_KEYBOARD_FLAGS) == 5
    assert terminal.mode(2004)
    assert terminal.mode(4, ansi=True)
    assert not terminal.mode(4)
    assert terminal.title() == b"a title"
    assert terminal_of(b"").title() == b""
    terminal.write(b"\x1b[5 q")
    assert terminal.cursor_shape() == (CursorShape.BAR, True)


def test_cells_and_rows() -> None:
    """Cells report text, width, links and backgrounds, and rows report wraps."""
    terminal = terminal_of("你\x1b]8;;http://x\x07a\x1b]8;;\x07\x1b[44m\x1b[K".encode())
    row = terminal.rows(0, 1)[0]
    first = row.cells
    assert [describe(raw).wide for raw in first[:3]] == [Wide.WIDE, Wide.SPACER_TAIL, Wide.NARROW]
    assert describe(first[2]).link
    assert terminal.link(2, 0, Space.ACTIVE) == b"http://x"
    assert terminal.link(0, 0, Space.ACTIVE) == b""
    assert describe(first[5]) == Cell(text=False, wide=Wide.NARROW, link=False, background=4)
    assert row.links
    true_color = terminal_of(b"\x1b[48;2;1;2;3m\x1b[K").rows(0, 1)[0].cells
    assert describe(true_color[0]).background == (1, 2, 3)
    wrapped, rest = terminal_of(b"x" * 25).rows(0, 2)
    assert wrapped.wraps
    assert not wrapped.continues
    assert rest.continues
    assert not rest.wraps


@pytest.mark.parametrize(("first", "count"), [(0, 30), (0, 4), (11, 7), (25, 5), (29, 1)])
def test_cells_of_the_scrollback(first: int, count: int) -> None:
    """Any rows of the scrollback can be read, and the terminal is still at its end afterwards."""
    terminal = ghostty.start(10, 4)
    terminal.set_limit(Option.SCROLLBACK_MAX_LINES, 1000)
    terminal.write(b"\r\n".join(b"x" * (n % 7 + 1) for n in range(30)))
    rows = terminal.rows(first, count)
    widths = [sum(describe(raw).text for raw in row.cells) for row in rows]
    assert widths == [n % 7 + 1 for n in range(first, first + count)]
    assert terminal.format(Emit.PLAIN, Region(0, 3, 9, 3), trim=True) == b"xx"


def test_a_cell_outside_is_refused() -> None:
    """A position outside of the screen is an error, not a crash."""
    with pytest.raises(GhosttyError, match="find the cell 0,99"):
        terminal_of(b"").link(0, 99, Space.ACTIVE)


def test_formats() -> None:
    """The same region can be formatted as text, VT or HTML, with and without state around it."""
    terminal = terminal_of(b"\x1b[31mred\x1b[2;3r")
    region = Region(0, 0, 19, 0)
    assert terminal.format(Emit.PLAIN, region) == b"red"
    assert terminal.format(Emit.VT, region) == b"\x1b[0m\x1b[31mred\x1b[0m"
    assert b"red" in terminal.format(Emit.HTML, region)
    assert terminal.format(Emit.VT, region, ("scrolling_region",)).endswith(b"\x1b[2;3r")
    assert terminal.format(Emit.VT, region, ("style",)).endswith(b"\x1b[0m\x1b[31m")


def test_replies_come_while_output_is_written() -> None:
    """Replies go to the callback that was set last."""
    terminal = terminal_of(b"")
    replies: list[bytes] = []
    terminal.on_reply(lambda _data: replies.append(b"never"))
    terminal.on_reply(replies.append)
    terminal.write(memoryview(b"\x1b[5n\x1b[6nrest"), 8)
    assert replies == [b"\x1b[0n", b"\x1b[1;1R"]


def test_encoded_and_decoded_it_is_in_the_same_state() -> None:
    """A decoded terminal goes on where the encoded one was, even in the middle of a sequence."""
    terminal = ghostty.start(20, 4)
    terminal.set_limit(Option.CONTINUATION_MAX_BYTES, ghostty.MAX_CONTINUATION)
    terminal.write(b"one\x1b[3")
    once = ghostty.decode(terminal.encode(), ghostty.MAX_CONTINUATION)
    twice = ghostty.decode(once.encode(), ghostty.MAX_CONTINUATION)
    twice.write(b"1mred")
    assert twice.format(Emit.VT, Region(0, 0, 19, 0)) == b"one\x1b[0m\x1b[31mred\x1b[0m"
