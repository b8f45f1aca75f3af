"""A workspace brought back to what it was, in a real folder."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workspace.recorded import Recorded, new_workspace

from moat.workspace.contents import MAX_KEPT
from moat.workspace.frozen_changes import changes_of
from moat.workspace.restoring import restore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moat.workspace.restoring import Restored

    Action = tuple[str, str, str, bytes]


def restored(recorded: Recorded, *, dry_run: bool = False) -> dict[str, str | None]:
    """Restore all that has changed; return why each path was left, `None` where it was not."""
    return {each.path: each.left for each in _restored(recorded, dry_run=dry_run)}


def _restored(recorded: Recorded, *, dry_run: bool = False) -> list[Restored]:
    with changes_of(recorded.run, ended=True) as (changes, pack):
        return list(restore(recorded.root, changes.changes, pack, dry_run=dry_run))


def ended(recorded: Recorded) -> None:
    """Freeze the changes, as the end of a run does."""
    with changes_of(recorded.run, ended=True):
        pass


def contents(root: Path) -> dict[str, tuple[int, object]]:
    """Everything in a folder: kinds, permissions, contents, targets."""
    found: dict[str, tuple[int, object]] = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            content: object = path.readlink()
        else:
            content = path.read_bytes() if stat.S_ISREG(mode) else None
        found[str(path.relative_to(root))] = (mode, content)
    return found


def fill(root: Path) -> None:
    for name in ("same", "changed", "deleted", "mode", "kind", "deep/er/file", "folder/x"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name}\n")
    (root / "link").symlink_to("same")
    (root / "empty").mkdir()
    (root / "script").write_text("#!/bin/sh\n")
    (root / "script").chmod(0o755)


def change(root: Path) -> None:
    (root / "changed").write_text("CHANGED\n")
    (root / "deleted").unlink()
    (root / "mode").chmod(0o4755)
    (root / "kind").unlink()
    (root / "kind" / "now" / "folder").mkdir(parents=True)
    (root / "kind" / "file").write_text("x")
    (root / "link").unlink()
    (root / "link").symlink_to("/etc/passwd")
    (root / "empty").rmdir()
    (root / "script").unlink()
    (root / "script").symlink_to("same")
    (root / "folder").chmod(0o700)
    (root / "deep" / "er" / "file").unlink()
    (root / "deep" / "er").rmdir()
    (root / "deep").rmdir()
    (root / "new" / "deep").mkdir(parents=True)
    (root / "new" / "deep" / "file").write_text("x")
    os.mkfifo(root / "fifo")


def test_everything_is_what_it_was(recorded: Recorded) -> None:
    """Contents, permissions, links, kinds and empty folders are back, and what was made is gone."""
    fill(recorded.root)
    before = contents(recorded.root)
    recorded.record()
    change(recorded.root)
    ended(recorded)
    after = contents(recorded.root)
    planned = restored(recorded, dry_run=True)
    assert contents(recorded.root) == after
    assert restored(recorded) == planned
    assert set(planned.values()) == {None}
    assert contents(recorded.root) == before
    assert restored(recorded) == {}


def test_what_changed_since_the_end_stays(recorded: Recorded) -> None:
    """The user's own work is never replaced, removed or brought back."""
    root = recorded.root
    for name in ("edited", "removed", "gone/file", "free"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("before\n")
    recorded.record()
    for name in ("edited", "removed", "made"):
        (root / name).write_text("by the run\n")
    (root / "free").unlink()
    ended(recorded)
    for name in ("edited", "made", "free"):
        (root / name).write_text("mine\n")
    (root / "removed").unlink()
    before = contents(root)
    since = "it was changed since"
    assert restored(recorded) == dict.fromkeys(("edited", "removed", "made", "free"), since)
    assert contents(root) == before


def test_what_is_not_kept_stays(recorded: Recorded) -> None:
    """A large file is neither lost nor replaced by half of one; its permissions alone come back."""
    root = recorded.root
    large = b"x" * (MAX_KEPT + 1)
    for name in ("replaced", "mode"):
        (root / name).write_bytes(large)
    (root / "mode").chmod(0o644)
    recorded.record()
    (root / "replaced").write_text("small")
    (root / "made").write_bytes(large)
    (root / "mode").chmod(0o600)
    ended(recorded)
    left = restored(recorded)
    assert "isn't kept" in str(left["replaced"])
    assert "would be lost" in str(left["made"])
    assert left["mode"] is None
    assert (root / "made").read_bytes() == large
    assert (root / "mode").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "swap",
    [
        lambda folder, outside: (folder / "file").unlink() or (folder / "file").symlink_to(outside),
        lambda folder, outside: (
            folder.rename(folder.with_name("away")) and folder.symlink_to(outside.parent)
        ),
    ],
    ids=["the file", "the folder"],
)
def test_no_link_leads_out(
    recorded: Recorded, tmp_path: Path, swap: Callable[[Path, Path], object]
) -> None:
    """A link that another run puts in the way is not followed: nothing elsewhere changes."""
    outside = tmp_path / "outside" / "file"
    outside.parent.mkdir()
    folder = recorded.root / "folder"
    folder.mkdir()
    (folder / "file").write_text("before\n")
    recorded.record()
    (folder / "file").write_text("after\n")
    (folder / "made").write_text("after\n")
    ended(recorded)
    outside.write_text("after\n")
    (outside.parent / "made").write_text("after\n")
    swap(folder, outside)
    assert restored(recorded)["folder/file"] is not None
    assert outside.read_text() == "after\n"
    assert (outside.parent / "made").exists() or folder.is_symlink() is False


def test_a_folder_that_cannot_be_written_is_named(recorded: Recorded) -> None:
    """What is in the way is named for each path, and the others are restored."""
    root = recorded.root
    (root / "a").mkdir()
    (root / "a" / "x").write_text("x")
    (root / "b").write_text("b")
    recorded.record()
    (root / "a" / "x").unlink()
    (root / "a").rmdir()
    (root / "b").unlink()
    ended(recorded)
    (root / "a").write_text("mine")
    assert restored(recorded) == {"a/x": "Not a directory", "b": None}
    assert (root / "b").read_text() == "b"
    assert not list(root.glob(".*.moat"))


def act(root: Path, action: Action) -> None:
    """Put something in the place of whatever is at a path of one or two parts."""
    kind, outer, inner, data = action
    path = root / outer if data[:1] < b"\x80" else root / outer / inner
    for each in (path.parent, path):
        if each.is_symlink() or each.is_file():
            each.unlink()
    if path.is_dir():
        shutil.rmtree(path)
    path.parent.mkdir(exist_ok=True)
    match kind:
        case "file":
            path.write_bytes(data)
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(inner)
        case _:
            pass


def _without_folders(found: dict[str, tuple[int, object]]) -> dict[str, tuple[int, object]]:
    """Leave out folders: one that the run has emptied goes, as with git."""
    return {
        name: each
        for name, each in found.items()
        if not isinstance(each, tuple) or each[1] is not None
    }


NAMES = st.sampled_from(["a", "b", "c"])
KINDS = st.sampled_from(["file", "folder", "link", "remove"])
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["file", "folder", "link", "remove"]), NAMES, NAMES, st.binary(max_size=3)
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(first=ACTIONS, then=ACTIONS)
def test_any_changes_can_be_undone(
    tmp_path_factory: pytest.TempPathFactory, first: list[Action], then: list[Action]
) -> None:
    """Whatever is made, replaced and removed: files and links are what they were."""
    recorded = new_workspace(tmp_path_factory.mktemp("any"))
    for action in first:
        act(recorded.root, action)
    before = contents(recorded.root)
    recorded.record()
    for action in then:
        act(recorded.root, action)
    ended(recorded)
    assert set(restored(recorded).values()) <= {None}
    assert _without_folders(contents(recorded.root)) == _without_folders(before)
