"""Git's configuration as git reads it, and what of it can do no harm."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.workspace.git_config import Entry, harmless, names_program, parse, render, words

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
    """Every entry as git reads it; `None` where it refuses the file."""
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
    return [f"{each.printed}\n{each.value}" for each in entries]


def with_true(entries: list[str]) -> list[str]:
    """Git shows a key alone without a value."""
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
    """And what stands before it has been read."""
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
    """Whatever the text: git reads in ours what we have kept, and nothing else."""
    kept = [each for each in parse(text)[0] if harmless(each)]
    theirs = as_git(render(kept), tmp_path_factory.mktemp("config", numbered=True))
    assert theirs == shown(kept)


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
def test_only_what_is_known_to_be_harmless_is(entry: Entry, expected: bool) -> None:
    """A list of what may stay, not of what may not."""
    assert harmless(entry) is expected


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
def test_what_names_programs_is_known(entry: Entry) -> None:
    """So that the files it names can be protected."""
    assert names_program(entry)
    assert not harmless(entry)


def test_words_of_a_command_line() -> None:
    """However it is quoted: a word too much protects a file too much."""
    assert words("sh -c 'node tools/x.js \"$1\"'")[1:] == ["sh", "-c", "node", "tools/x.js", "1"]
