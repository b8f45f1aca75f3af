"""The text of `moat diff` besides the patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.cli.diff_text import painted, shown, stat_lines, summaries
from moat.workspace.changes import Change, Side

if TYPE_CHECKING:
    import pytest

FILE = Side(0o100644, 2, "00" * 32, 0, 2)


def test_nothing_steers_a_terminal() -> None:
    """Control characters of either kind, bytes that aren't UTF-8, and texts that change direction."""
    line = b"+a\tb\x1b[2J\x9b\xc2\x9b\xe2\x80\xae\r\n"
    assert shown(line) == "+a\tb\\x1b[2J\\x9b\\x9b\\u202e\\r\n"
    assert shown(b"+plain") == "+plain"


def test_lines_have_their_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a line is outside of its colour; whoever wants none gets none."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert painted("+a\n") == "\x1b[32m+a\x1b[0m\n"
    assert painted(" a\n") == " a\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert painted("+a\n") == "+a\n"


def test_lines_are_counted() -> None:
    """By file and in all; of what has no lines it is said what it is."""
    changes = [
        (Change("a", FILE, Side(0o100644, 2, "11" * 32, 2, 2)), b"a\n", b"b\nc\n"),
        (Change("b", None, FILE), None, b"\0"),
        (Change("c: d", None, Side(0o100644, 9)), None, None),
        (Change("e", None, FILE), b"", b"-- x\n++ y\n# z\n"),
    ]
    assert list(stat_lines(changes)) == [
        b" a | +2 -1\n",
        b" b | binary\n",
        b" c: d | new; the content was not kept: after 9 bytes\n",
        b" e | +3 -0\n",
        b" 4 changed, 5 lines added, 1 removed\n",
    ]
    assert list(stat_lines([])) == []


def test_folders_are_summed() -> None:
    """In the order of their names, with the kinds of change that there are."""
    changes = [
        Change("z/a", None, FILE, "z"),
        Change("z/b", FILE, None, "z"),
        Change("a\n/b", FILE, FILE, "a\n"),
    ]
    assert list(summaries(changes)) == [
        b'# "a\\n"/: 1 changed (files that tools make)\n',
        b"# z/: 1 added, 1 deleted (files that tools make)\n",
    ]
