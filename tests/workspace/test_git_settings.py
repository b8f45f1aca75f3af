"""Git settings that can do harm, and the paths that they name."""

from __future__ import annotations

import pytest

from moat.workspace.git_config import Entry
from moat.workspace.git_settings import (
    is_harmless,
    names_program,
    possible_paths,
    review,
    words,
)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (Entry("core", None, "bare", "false"), True),
        (Entry("remote", "origin", "url", "https://example.org"), True),
        (Entry("remote", "origin", "url", "ext::sh -c id"), False),
        (Entry("remote", "origin", "uploadpack", "id"), False),
        (Entry("remote", "origin", "promisor", "true"), False),
        (Entry("core", None, "fsmonitor", "true"), True),
        (Entry("core", None, "fsmonitor", "true;id"), False),
        (Entry("core", "bare", "fsmonitor", "true"), False),
        (Entry("filter", "x", "clean", "id"), False),
        (Entry("include", None, "path", "x"), False),
        (Entry("user", None, "name", "a\nb"), False),
        (Entry("what", None, "comes", "later"), False),
    ],
)
def test_only_settings_on_the_list_are_harmless(entry: Entry, expected: bool) -> None:
    """It is a list of what may stay, not of what may not."""
    assert is_harmless(entry) is expected


@pytest.mark.parametrize(
    "entry",
    [
        Entry("core", None, "hookspath", ".husky"),
        Entry("includeif", "gitdir:~/work", "path", "x"),
        Entry("alias", None, "x", "!tools/x"),
        Entry("filter", "lfs", "process", "x"),
        Entry("credential", "https://x", "helper", "x"),
    ],
)
def test_settings_that_name_programs(entry: Entry) -> None:
    """The files that they name can then be protected."""
    assert names_program(entry)
    assert not is_harmless(entry)


def test_words_of_a_command_line() -> None:
    """Whatever the quoting: a word too many protects a file too many."""
    assert words("sh -c 'node tools/x.js \"$1\"'")[1:] == ["sh", "-c", "node", "tools/x.js", "1"]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (Entry("core", None, "hookspath", "my hooks"), ["my hooks"]),
        (Entry("core", None, "pager", "less -R"), ["less -R", "less", "-R"]),
        (Entry("alias", None, "x", "!tools/x a"), ["!tools/x a", "tools/x", "a"]),
        (Entry("alias", None, "st", "status"), []),
        (Entry("core", None, "editor", "a\0b"), []),
        (Entry("core", None, "bare", "false"), []),
    ],
)
def test_the_paths_that_a_setting_may_name(entry: Entry, expected: list[str]) -> None:
    """A path as a whole, or the words of a command line; an alias for a git command names none."""
    assert possible_paths(entry) == expected


def test_a_review_keeps_what_was_there_and_what_is_harmless() -> None:
    """The user's own filter stays, the run's goes, and a worktree is somebody else's decision."""
    before = '[filter "ours"]\n\tclean = cat\n'
    worktree = "[core]\n\tworktree = /elsewhere\n"
    text = f"{before}[core]\n\tbare = false\n\tpager = evil\n{worktree}"
    verdict = review(text, before, keeps_worktree=lambda path: path != "/elsewhere")
    assert [entry.full_name for entry in verdict.kept] == ["filter.ours.clean", "core.bare"]
    assert [entry.full_name for entry in verdict.removed] == ["core.pager", "core.worktree"]
    assert not verdict.is_clean
    assert review(before, before, keeps_worktree=lambda _: False).is_clean
    assert not review("[core", "", keeps_worktree=lambda _: False).is_clean
