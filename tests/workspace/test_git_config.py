"""Git's configuration format, compared with the real git."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.workspace.git_config import Entry, is_canonical, parse, render
from moat.workspace.git_settings import is_harmless

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = r"""
# a comment
[core]
	bare = false ; another
	FileMode
	worktree = "a b" c\
 d
[remote "o\"r\\igin"] url = https://example.org/x.git
	fetch = +refs/heads/*:refs/remotes/origin/*
[branch.Main]
	merge = "refs/heads/main"
[alias]
	x = "!echo \"a b\"\t# no comment"   # comment
[ Core]
"""


def as_git(text: str, folder: Path) -> list[str] | None:
    """Return every entry as git reads it; `None` if git refuses the file."""
    file = folder / "config"
    file.write_text(text, newline="")
    done = subprocess.run(
        ["git", "config", "--file", file, "--no-includes", "--null", "--list"],
        capture_output=True,
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"},
        check=False,
    )
    return done.stdout.decode().split("\0")[:-1] if done.returncode == 0 else None


def shown(entries: list[Entry]) -> list[str]:
    return [f"{each.full_name}\n{each.value}" for each in entries]


def with_true(entries: list[str]) -> list[str]:
    """Add the value that a key alone has: git lists it without one."""
    return [each if "\n" in each else f"{each}\ntrue" for each in entries]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_it_is_read_as_git_reads_it(tmp_path: Path, newline: str) -> None:
    """Quotes, escapes, comments, continued lines, and all ways to write a section."""
    text = PLAIN.removesuffix("[ Core]\n").replace("\n", newline)
    entries, complete = parse(text)
    theirs = as_git(text, tmp_path)
    assert complete
    assert theirs is not None
    assert shown(entries) == with_true(theirs)


def test_what_git_refuses_is_not_complete(tmp_path: Path) -> None:
    """The entries before the error are returned."""
    entries, complete = parse(PLAIN)
    assert not complete
    assert len(entries) == 7
    assert as_git(PLAIN, tmp_path) is None


PIECES = st.lists(
    st.sampled_from(
        [
            *("[core]", "[remote ", '"origin"]', "[a.b]", "fsmonitor", "url", " = ", "=", "\n"),
            *(
                " ",
                "\t",
                '"',
                "\\",
                "\\n",
                '\\"',
                "#",
                ";",
                "x",
                "\r",
                "\r\n",
                "]",
                "[",
                "é",
                "\\\n",
            ),
        ]
    ),
    max_size=24,
).map("".join)


@given(PIECES)
def test_what_is_kept_is_all_that_git_finds(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """From any text, git finds in our rendering the entries that we kept and no others."""
    kept = [each for each in parse(text)[0] if is_harmless(each)]
    theirs = as_git(render(kept), tmp_path_factory.mktemp("config", numbered=True))
    assert theirs == shown(kept)


@given(PIECES)
def test_a_canonical_text_means_the_same_when_rendered(text: str) -> None:
    """A text that looks as git writes it may stay as it is: nothing in it is read in two ways."""
    if is_canonical(text):
        entries, complete = parse(text)
        assert complete
        assert parse(render(entries)) == (entries, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ('[core]\n\tbare = false\n[remote "origin"]\n\turl = https://x.org/y.git\n', True),
        ("[core]\n\tbare = false # a comment\n", False),
        ('[core]\n\tx = "quoted"\n', False),
        ("[core]\n\tx = a\\\n", False),
        ("[core]\r\n", False),
        ("[Core]\n", False),
        ("[core] bare = false\n", False),
        ("[core]\n\tbare\n", False),
        ("[core]\n\tx = é\n", False),
    ],
)
def test_a_canonical_text_is_what_git_writes(text: str, expected: bool) -> None:
    """Comments, quotes, escapes and other spellings of a section are left to be rendered anew."""
    assert is_canonical(text) is expected


def test_what_is_rendered_reads_back_as_the_same_entries() -> None:
    """Quotes in subsections, newlines and tabs in values: nothing changes on the way."""
    entries = [
        *parse(PLAIN)[0],
        Entry("remote", 'o"r\\igin', "fetch", "a\nb\tc"),
        Entry("core", None, "bare", ""),
    ]
    assert parse(render(entries)) == (entries, True)


@pytest.mark.parametrize("line", ["x = a\\q", 'x = "a', "x y", "7x = a", "[a b]"])
def test_a_line_that_git_refuses_ends_the_reading(tmp_path: Path, line: str) -> None:
    """An unknown escape, an open quote, a bad name: no entry behind them is believed."""
    text = f"[core]\n\tbare = false\n\t{line}\n"
    assert parse(text) == ([Entry("core", None, "bare", "false")], False)
    assert as_git(text, tmp_path) is None
