"""Differences by lines, checked by applying them."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.workspace import line_diff
from moat.workspace.line_diff import unified

if TYPE_CHECKING:
    from pathlib import Path

texts = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"\n", b"\r\n", b"\x0c\n", b"a"])).map(
    b"".join
)


def applied(old: bytes, hunks: list[bytes]) -> bytes:
    """Apply the hunks of a diff, checking every line of the old text and every number."""
    lines = old.split(b"\n")
    source = [line + b"\n" for line in lines[:-1]] + [line for line in lines[-1:] if line]
    result: list[bytes] = []
    position = 0
    for line in hunks:
        head = re.fullmatch(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@\n", line)
        if head is not None:
            start, count = int(head[1]), int(head[2] or 1)
            first = start - 1 if count else start
            assert first >= position
            result += source[position:first]
            position = first
            new_start, new_count = int(head[3]), int(head[4] or 1)
            assert len(result) == (new_start - 1 if new_count else new_start)
        elif line.startswith(b"+"):
            result.append(line[1:])
        elif line.startswith((b"-", b" ")):
            assert source[position] == line[1:]
            position += 1
            result += [line[1:]] if line.startswith(b" ") else []
        else:
            assert line == b"\n\\ No newline at end of file\n"
    return b"".join(result + source[position:])


@given(texts, texts)
def test_a_difference_leads_from_the_old_to_the_new(old: bytes, new: bytes) -> None:
    """Whatever the texts; equal ones have no difference."""
    hunks = list(unified(old, new))
    assert applied(old, hunks) == new
    assert bool(hunks) == (old != new)


@given(texts, texts)
def test_a_bounded_difference_is_as_true(old: bytes, new: bytes) -> None:
    """Beyond the bound everything between the first and the last change counts as replaced."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(line_diff, "_MAX_EDITS", 1)
        patched.setattr(line_diff, "_MAX_STEPS", 2)
        assert applied(old, list(unified(old, new))) == new


def test_a_difference_is_small() -> None:
    """Of a long text with two changes there are two hunks with their contexts."""
    old = b"".join(b"%d\n" % number for number in range(100))
    new = old.replace(b"\n20\n", b"\ntwenty\n").replace(b"\n80\n", b"\n")
    assert [line for line in unified(old, new) if line[:1] in b"-+@"] == [
        *(b"@@ -18,7 +18,7 @@\n", b"-20\n", b"+twenty\n"),
        *(b"@@ -78,7 +78,6 @@\n", b"-80\n"),
    ]


def test_git_finds_the_same_number_of_changes(tmp_path: Path) -> None:
    """The difference is a shortest one, as git's is with --minimal."""
    old = "".join(f"{number * 7 % 13}\n" for number in range(200))
    new = "".join(f"{number * 5 % 11}\n" for number in range(180))
    (tmp_path / "old").write_text(old)
    (tmp_path / "new").write_text(new)
    command = ["git", "diff", "--no-index", "--minimal", "--numstat", "old", "new"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = list(unified(old.encode(), new.encode()))
    counts = [sum(line.startswith(mark) for line in lines) for mark in (b"+", b"-")]
    assert done.stdout.split()[:2] == [str(count) for count in counts]
