"""The question that is asked before a copy is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.workspace.copied import new_copied

from moat.client.unapplied import has_unapplied
from moat.workspace import comparison

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_copy_can_go_once_all_is_applied(tmp_path: Path) -> None:
    """And what only the copy has keeps it."""
    copied = new_copied(tmp_path)
    copied.begin()
    (copied.copy / "file").write_text("x")
    assert has_unapplied(copied.spec, copied.run)
    copied.apply()
    assert not has_unapplied(copied.spec, copied.run)


def test_what_was_not_compared_may_be_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has changed more than is listed may have left any of it in the copy alone."""
    monkeypatch.setattr(comparison, "MAX_CHANGES", 1)
    copied = new_copied(tmp_path)
    copied.begin()
    for name in "ab":
        (copied.copy / name).write_text("x")
    copied.apply()
    assert has_unapplied(copied.spec, copied.run)


def test_a_workspace_that_is_gone_has_nothing_of_it(tmp_path: Path) -> None:
    """Where it can't be told, the copy stays."""
    copied = new_copied(tmp_path)
    copied.begin()
    copied.root.rmdir()
    assert has_unapplied(copied.spec, copied.run)
