"""The queue for witnesses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from moat.errors import StoreError
from moat.runs import unwitnessed

if TYPE_CHECKING:
    from pathlib import Path


def test_those_who_have_waited_longest_come_first(tmp_path: Path) -> None:
    """A run whose submission fails each time takes no other's turn."""
    assert unwitnessed.queued(tmp_path) == []
    for number, run in enumerate(("b", "c", "a")):
        unwitnessed.mark(tmp_path, run)
        os.utime(unwitnessed.mark_path(tmp_path, run), (number, number))
    assert unwitnessed.queued(tmp_path) == ["b", "c", "a"]
    unwitnessed.mark_path(tmp_path, "c").unlink()
    assert unwitnessed.queued(tmp_path) == ["b", "a"]


def test_a_mark_that_can_not_be_made(tmp_path: Path) -> None:
    """The run doesn't begin without it."""
    (tmp_path / "unwitnessed").write_text("in the way")
    with pytest.raises(StoreError):
        unwitnessed.mark(tmp_path, "a")
