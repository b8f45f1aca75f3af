"""The names of snapshots."""

from __future__ import annotations

import pytest

from moat.errors import UsageError
from moat.workspace.history.record import ASKED, END, Head
from moat.workspace.history.reference import Fixed, check_label, choose, parse

HEADS = [
    Head(1, 0, ASKED, "good"),
    Head(2, 0, "detach"),
    Head(3, 0, ASKED, "good"),
    Head(7, 0, END),
    Head(8, 0, "restore"),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("fix@3", ("fix", "3")), ("@start", (None, "start")), ("fix@a@b c", ("fix", "a@b c"))],
)
def test_a_name_has_a_run_and_a_snapshot(text: str, expected: tuple[str | None, str]) -> None:
    """Without the run, the one that commands are about by default is meant."""
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["fix", "fix@", "@", ""])
def test_a_run_alone_is_no_snapshot(text: str) -> None:
    """The error says how one is written."""
    with pytest.raises(UsageError, match="names no snapshot") as error:
        parse(text)
    assert "@start" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("1", 1), ("good", 3), ("end", 7), ("last", 8), ("start", Fixed.START), ("now", Fixed.NOW)],
)
def test_a_snapshot_is_chosen_by_its_name(name: str, expected: int | Fixed) -> None:
    """Of two with one label, the newer one."""
    found = choose(HEADS, name)
    assert (found.number if isinstance(found, Head) else found) == expected


def test_a_name_that_no_snapshot_has() -> None:
    """The newest of none is the start."""
    for name in ("4", "bad", ""):
        with pytest.raises(UsageError, match="there is no snapshot"):
            choose(HEADS, name)
    with pytest.raises(UsageError, match="there is no snapshot"):
        choose([], "end")
    assert choose([], "last") is Fixed.START


@pytest.mark.parametrize("label", ["before the merge", "v1.0", "größer"])
def test_a_label(label: str) -> None:
    """Spaces and letters of any language are fine."""
    assert check_label(label) == label


@pytest.mark.parametrize("label", ["", " ", "a\nb", "\x1b[2J", "12", "start", "now", "x" * 81])
def test_what_is_no_label(label: str) -> None:
    """Nothing that a terminal obeys, and no name that another snapshot has."""
    with pytest.raises(UsageError):
        check_label(label)
