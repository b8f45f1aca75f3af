"""The question that is asked before a copy is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.workspace.copied import CopiedWorkspace, new_copied

from moat.client.unapplied import has_unapplied
from moat.runs.store import Store
from moat.spec import codec
from moat.workspace import comparison

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def begun(folder: Path) -> CopiedWorkspace:
    copied = new_copied(folder)
    copied.begin()
    copied.run.spec.write_text(codec.dumps(copied.spec))
    return copied


def is_kept(copied: CopiedWorkspace) -> bool:
    with Store(copied.run.root.parent.parent) as store:
        return has_unapplied(store, copied.run.id)


def test_a_copy_can_go_once_all_is_applied(tmp_path: Path) -> None:
    """And what only the copy has keeps it."""
    copied = begun(tmp_path)
    (copied.copy / "file").write_text("x")
    assert is_kept(copied)
    copied.apply()
    assert not is_kept(copied)


def test_what_was_not_compared_may_be_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has changed more than is listed may have left any of it in the copy alone."""
    monkeypatch.setattr(comparison, "MAX_CHANGES", 1)
    copied = begun(tmp_path)
    for name in "ab":
        (copied.copy / name).write_text("x")
    copied.apply()
    assert is_kept(copied)


def test_a_workspace_that_is_gone_has_nothing_of_it(tmp_path: Path) -> None:
    """Where it can't be told, the copy stays."""
    copied = begun(tmp_path)
    copied.root.rmdir()
    assert is_kept(copied)
