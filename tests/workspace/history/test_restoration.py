"""A real folder brought back to a snapshot."""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from tests.workspace.history.snapshotted import new_snapshotted
from tests.workspace.history.test_taking import act, actions, blobs, files_in

from moat.workspace.history.record import RESTORE
from moat.workspace.history.reference import Fixed
from moat.workspace.history.restoration import Restoration

if TYPE_CHECKING:
    from pathlib import Path

    from tests.workspace.history.snapshotted import Snapshotted

    from moat.workspace.changes import Change


def contents(root: Path) -> dict[str, tuple[int, object]]:
    """Everything in a folder: kinds, permissions, contents, targets."""
    found: dict[str, tuple[int, object]] = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        content: object = path.readlink() if stat.S_ISLNK(mode) else None
        found[str(path.relative_to(root))] = (
            mode,
            path.read_bytes() if stat.S_ISREG(mode) else content,
        )
    return found


def test_everything_comes_back(snapshotted: Snapshotted) -> None:
    """Files, links, empty folders and permissions; what was not there goes. And back again."""
    root = snapshotted.root
    (root / "same").write_text("same")
    snapshotted.recorded.record()
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "file").write_text("x")
    (root / "script").write_text("#!/bin/sh\n")
    (root / "script").chmod(0o755)
    (root / "link").symlink_to("same")
    (root / "empty").mkdir()
    good = snapshotted.take()
    then = contents(root)
    (root / "deep" / "er" / "file").unlink()
    (root / "deep" / "er").rmdir()
    (root / "script").chmod(0o600)
    (root / "link").unlink()
    (root / "link").write_text("no link")
    (root / "empty").rmdir()
    (root / "more" / "of").mkdir(parents=True)
    (root / "more" / "of" / "it").write_text("y")
    later = contents(root)
    assert set(snapshotted.restore(good).values()) == {None}
    assert contents(root) == then
    before = snapshotted.history.heads()[-1]
    assert before.reason == RESTORE
    assert set(snapshotted.restore(before).values()) == {None}
    assert contents(root) == later
    assert snapshotted.restore(before) == {}


def test_nothing_is_lost_by_it(snapshotted: Snapshotted) -> None:
    """A path that changes after the present was recorded stays, and so does what isn't kept."""
    root = snapshotted.root
    (root / "a").write_text("start")
    (root / "large").write_text("start")
    snapshotted.recorded.record()
    (root / "a").write_text("recorded")
    with (root / "large").open("wb") as file:
        file.truncate(17 << 20)
    plan = Restoration(
        snapshotted.history, snapshotted.spec, Fixed.START, lambda _: True, protected=False
    )
    before = snapshotted.take(RESTORE)
    (root / "a").write_text("just now")
    left = {each.path: each.left for each in plan.carry_out(before, None)}
    assert left == {
        "a": "it was changed since",
        "large": "its content isn't kept in the record, so it would be lost",
    }
    assert (root / "a").read_text() == "just now"
    assert (root / "large").stat().st_size == 17 << 20


def test_only_what_was_agreed_to_is_changed(snapshotted: Snapshotted) -> None:
    """What the run writes between the question and the answer is no part of it."""
    snapshotted.recorded.record()
    (snapshotted.root / "a").write_text("x")
    plan = Restoration(
        snapshotted.history, snapshotted.spec, Fixed.START, lambda _: True, protected=False
    )
    agreed = {each.path for each in plan.preview()}
    (snapshotted.root / "b").write_text("x")
    done = plan.carry_out(snapshotted.take(RESTORE), agreed)
    assert [each.path for each in done] == ["a"]
    assert (snapshotted.root / "b").exists()


def test_a_damaged_content_is_named_and_the_rest_comes_back(snapshotted: Snapshotted) -> None:
    """Nothing else is put in its place."""
    root = snapshotted.root
    snapshotted.recorded.record()
    (root / "a").write_text("good a")
    (root / "b").write_text("good b")
    good = snapshotted.take()
    damaged = next(path for path in blobs(snapshotted) if path.read_bytes()[-4:])
    damaged.write_bytes(b"\0" + damaged.read_bytes()[1:])
    (root / "a").write_text("bad")
    (root / "b").write_text("bad")
    left = snapshotted.restore(good)
    assert sorted(each is None for each in left.values()) == [False, True]
    (reason,) = filter(None, left.values())
    assert damaged.name in reason
    assert min(files_in(root).values()) == b"bad"


def test_protected_paths_come_back_as_at_the_start_or_when_asked_for(
    snapshotted: Snapshotted,
) -> None:
    """Never as the run wrote them."""
    root = snapshotted.root
    (root / ".envrc").write_text("mine")
    (root / "code").write_text("mine")
    snapshotted.recorded.record()
    (root / ".envrc").write_text("evil")
    (root / "sub" / ".vscode").mkdir(parents=True)
    (root / "sub" / ".vscode" / "tasks.json").write_text("evil")
    (root / "code").write_text("good")
    planted = snapshotted.take()
    (root / ".envrc").write_text("mine")
    (root / "sub" / ".vscode" / "tasks.json").unlink()
    (root / "code").write_text("bad")
    left = snapshotted.restore(planted)
    assert left.pop("code") is None
    assert set(left) == {".envrc", "sub/.vscode/tasks.json"}
    assert all("--protected" in (each or "") for each in left.values())
    assert (root / ".envrc").read_text() == "mine"
    assert (root / "code").read_text() == "good"
    assert set(snapshotted.restore(planted, protected=True).values()) == {None}
    assert (root / ".envrc").read_text() == "evil"
    assert set(snapshotted.restore().values()) == {None}
    assert (root / ".envrc").read_text() == "mine"
    assert not (root / "sub").exists()


def test_what_git_is_told_to_run_comes_back_when_asked_for(snapshotted: Snapshotted) -> None:
    """A program of the run's, which the clean-up at the end has put aside, stays there."""
    root = snapshotted.root
    for name in ("objects", "refs", "hooks"):
        (root / ".git" / name).mkdir(parents=True)
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (root / ".git" / "config").write_text(
        "[diff]\n\texternal = tools/diff.sh\n[core]\n\thooksPath = .githooks\n"
    )
    snapshotted.recorded.record()
    planted = {root / "tools" / "diff.sh", root / ".githooks" / "pre-commit"}
    for each in planted:
        each.parent.mkdir()
        each.write_text("evil")
    taken = snapshotted.take()
    for each in planted:
        each.rename(f"{each}.disarmed")
    left = snapshotted.restore(taken)
    assert {path for path, reason in left.items() if "--protected" in (reason or "")} == {
        "tools/diff.sh",
        ".githooks/pre-commit",
    }
    assert not any(map(os.path.lexists, planted))
    assert set(snapshotted.restore(taken, protected=True).values()) == {None}


def test_a_restore_can_be_limited(snapshotted: Snapshotted) -> None:
    """To what the user means; all else is as it was."""
    snapshotted.recorded.record()
    for name in "ab":
        (snapshotted.root / name).write_text("x")

    def meant(change: Change) -> bool:
        return change.path == "a"

    assert snapshotted.restore(is_meant=meant) == {"a": None}
    assert not (snapshotted.root / "a").exists()
    assert (snapshotted.root / "b").exists()


@pytest.mark.parametrize("attack", ["folder", "parent", "file"])
def test_a_run_that_swaps_paths_meanwhile_leads_nothing_astray(
    snapshotted: Snapshotted, attack: str
) -> None:
    """Folders and files become links to a folder outside, again and again: nothing there changes."""
    root = snapshotted.root
    outside = root.with_name("outside")
    for top in (root, outside):
        (top / "parent" / "folder").mkdir(parents=True)
        for name in "abc":
            (top / "parent" / "folder" / name).write_text("mine")
    snapshotted.recorded.record()
    for name in "abc":
        (root / "parent" / "folder" / name).write_text("changed")
    (root / "parent" / "folder" / "new").write_text("new")
    untouched = contents(outside)
    swapped = {
        "folder": (root / "parent" / "folder", outside / "parent" / "folder"),
        "parent": (root / "parent", outside / "parent"),
        "file": (root / "parent" / "folder" / "a", outside / "parent" / "folder" / "a"),
    }
    over = threading.Event()
    attacker = threading.Thread(target=swap, args=(*swapped[attack], over))
    attacker.start()
    try:
        for _ in range(20):
            snapshotted.take(RESTORE)
            plan = Restoration(
                snapshotted.history, snapshotted.spec, Fixed.START, lambda _: True, protected=False
            )
            plan.carry_out(snapshotted.history.heads()[-1], None)
            assert contents(outside) == untouched
    finally:
        over.set()
        attacker.join()


def swap(path: Path, target: Path, over: threading.Event) -> None:
    """Put a link in the place of a path, and the path back, until it is over."""
    aside = path.with_name("aside")
    link = path.with_name("link")
    while not over.is_set():
        try:
            path.rename(aside)
            link.symlink_to(target)
            link.rename(path)
            path.unlink()
            aside.rename(path)
        except OSError:
            # The restore has put something there in this moment.
            for each in (link, path):
                if each.is_symlink():
                    each.unlink()
            if aside.exists() and not os.path.lexists(path):
                aside.rename(path)


@settings(max_examples=25)
@given(actions, actions, actions)
def test_a_restore_is_exact(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[tuple[str, bytes | None]],
    wanted: list[tuple[str, bytes | None]],
    since: list[tuple[str, bytes | None]],
) -> None:
    """Whatever has happened, all files are what they were."""
    made = new_snapshotted(tmp_path_factory.mktemp("x"))
    act(made.root, before)
    made.recorded.record()
    act(made.root, wanted)
    head = made.take()
    then = files_in(made.root)
    act(made.root, since)
    now = files_in(made.root)
    assert set(made.restore(head).values()) <= {None}
    assert files_in(made.root) == then
    assert set(made.restore(made.history.heads()[-1]).values()) <= {None}
    assert files_in(made.root) == now


def test_a_start_that_was_recorded_late_is_not_taken_for_the_start(
    snapshotted: Snapshotted,
) -> None:
    """What nobody knows is left as it is."""
    (snapshotted.root / "a").write_text("x")
    snapshotted.recorded.record(started_at=0)
    (snapshotted.root / "a").write_text("y")
    left = snapshotted.restore()
    assert "older" in (left["a"] or "")
    assert (snapshotted.root / "a").read_text() == "y"
