"""Snapshots as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.cli.snapshot_text import as_json, is_harmless, row, start_row, time_of, warnings
from moat.workspace.history.record import Head

HEAD = Head(3, 1_500_000_000, "asked", "good", files=7, changed=2)
LACKING = Head(4, 0, "detach", files=7, changed=2, unkept=1, too_large=5, complete=False)


def age(time: str) -> str:
    return f"since {time}"


def test_rows() -> None:
    """A snapshot that isn't whole says so."""
    taken = "since 1970-01-01T00:00:01.500Z"
    assert row(HEAD, age) == ("3", taken, "asked", "2 paths", "good")
    assert row(LACKING, age)[3] == "2 paths (not all kept)"
    assert start_row(1_500_000_000, age) == ("start", taken, "start", "", "")


def test_json() -> None:
    """Times are RFC 3339."""
    assert as_json(HEAD) == {
        "snapshot": 3,
        "taken_at": time_of(1_500_000_000),
        "reason": "asked",
        "label": "good",
        "files": 7,
        "changed": 2,
        "unkept": 0,
        "too_large": 0,
        "complete": True,
    }


def test_what_a_snapshot_lacks() -> None:
    """Each with the reason, and with the setting to change where there is one."""
    assert warnings(HEAD) == []
    first, second, third = warnings(LACKING)
    assert first.startswith("1 files were not kept")
    assert "snapshots.limit" in first
    assert second.startswith("5 changed files are too large")
    assert "more in the workspace" in third


@pytest.mark.parametrize("content", [b"", b"text\n", "größer\r\n\tx".encode()])
def test_plain_text(content: bytes) -> None:
    """A terminal shows it, and that is all."""
    assert is_harmless(content)


@pytest.mark.parametrize(
    "content", [b"\x1b[2J", b"a\rb", b"\0", b"\xff", "\u202eabc".encode(), b"\x9b"]
)
def test_what_a_terminal_would_obey(content: bytes) -> None:
    """Control characters of every kind, and what is no text."""
    assert not is_harmless(content)


@given(st.binary())
def test_no_escape_passes(content: bytes) -> None:
    """Whatever a run has put into a file."""
    assert not (is_harmless(content) and b"\x1b" in content)
