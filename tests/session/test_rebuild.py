"""A screen made again from its journal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from moat.session.journal.index import Stream
from moat.session.journal.journal import Journal
from moat.session.rebuild import rebuild_screen
from moat.session.terminal.screen import Screen
from moat.spec import TerminalSize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIZE = TerminalSize(20, 4)
OTHER_SIZE = TerminalSize(9, 6)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "main", SIZE, limit=1 << 30)
    yield opened
    opened.close()


@pytest.fixture
def write(journal: Journal) -> Iterator[Callable[[bytes], None]]:
    """Appends output to the journal, as the program's pipe brings it."""
    read_end, write_end = os.pipe()

    def append(data: bytes) -> None:
        os.write(write_end, data)
        journal.take(Stream.STDOUT, read_end)

    yield append
    os.close(read_end)
    os.close(write_end)


def test_a_rebuilt_screen_is_the_one_that_was_there(
    journal: Journal, write: Callable[[bytes], None]
) -> None:
    """It shows the same, whatever sizes the terminal had in between."""
    lived = Screen(SIZE, scrollback=100)
    for output, size in (
        (b"first line\r\n\x1b[31mred and long enough to be wrapped", OTHER_SIZE),
        (b"\r\nsecond\x1b[2;2H", SIZE),
        (b"here\x1b]2;title\x07\x1b[?2004h", None),
    ):
        write(output)
        lived.feed(output)
        if size is not None:
            journal.resized(size)
            lived.resize(size)
    rebuilt = rebuild_screen(journal.reader.folder, 100, TerminalSize())
    assert rebuilt.as_json() == lived.as_json()
    assert rebuilt.restore() == lived.restore()


def test_a_last_change_of_size_counts_without_output_after_it(
    journal: Journal, write: Callable[[bytes], None]
) -> None:
    """A viewer may have resized the terminal while the program was silent."""
    write(b"text")
    journal.resized(OTHER_SIZE)
    assert rebuild_screen(journal.reader.folder, 100, SIZE).size == OTHER_SIZE


def test_old_queries_are_not_answered_again(
    journal: Journal, write: Callable[[bytes], None]
) -> None:
    """The program got its answers when it asked, and would take more of them for input."""
    write(b"\x1b[c\x1b[6n")
    assert rebuild_screen(journal.reader.folder, 100, SIZE).take_replies() == b""


def test_without_a_journal_the_screen_is_empty(tmp_path: Path) -> None:
    """It has the size that was asked for."""
    screen = rebuild_screen(tmp_path / "none", 100, OTHER_SIZE)
    assert (screen.size, screen.contents()) == (OTHER_SIZE, "")
