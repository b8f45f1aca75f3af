"""Snapshots of a real folder."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.full_disk import files_of_at_most
from tests.workspace.history.snapshotted import new_snapshotted
from tests.workspace.recorded import age

from moat.errors import MoatError, StoreError
from moat.spec import Snapshots
from moat.workspace.frozen_changes import changes_of, freeze
from moat.workspace.history import taking
from moat.workspace.history.blobs import Blobs
from moat.workspace.history.difference import difference
from moat.workspace.history.record import ASKED, END, RESTORE
from moat.workspace.history.reference import Fixed
from moat.workspace.history.taking import newest
from moat.workspace.history.worker import outcome
from moat.workspace.walk import take_manifest

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from tests.workspace.history.snapshotted import Snapshotted

    from moat.workspace.history.reference import State
    from moat.workspace.manifest import Manifest

MIB = 1 << 20


def changed(snapshotted: Snapshotted, before: State, after: State = Fixed.NOW) -> set[str]:
    with difference(snapshotted.history, before, after) as found:
        return {change.path for change in found.changes.changes}


def blobs(snapshotted: Snapshotted) -> list[Path]:
    return sorted(snapshotted.history.blobs.glob("??/*"))


def test_a_snapshot_is_what_lay_there(snapshotted: Snapshotted) -> None:
    """With the contents of what has changed; the others are those of the start, and kept once."""
    (snapshotted.root / "a").write_text("one")
    (snapshotted.root / "b").write_text("one too")
    snapshotted.recorded.record()
    (snapshotted.root / "a").write_text("two")
    (snapshotted.root / "new").mkdir()
    (snapshotted.root / "new" / os.fsdecode(b"\xff\n")).write_bytes(b"three\0")
    first = snapshotted.take(label="first")
    (snapshotted.root / "a").write_text("one")
    second = snapshotted.take()
    assert (first.number, first.label, first.files, first.changed) == (1, "first", 3, 2)
    assert (second.number, second.files, second.changed) == (2, 3, 1)
    assert snapshotted.content(first, "a") == b"two"
    assert snapshotted.content(first, "b") == b"one too"
    assert snapshotted.content(first, "new/\udcff\n") == b"three\0"
    assert snapshotted.content(second, "a") == b"one"
    assert len(blobs(snapshotted)) == 2
    assert changed(snapshotted, first, second) == {"a"}
    assert changed(snapshotted, Fixed.START) == changed(snapshotted, Fixed.START, second)
    assert changed(snapshotted, second) == set()


def test_files_are_for_their_user_alone(snapshotted: Snapshotted) -> None:
    """Folders have mode 0700, files 0600."""
    snapshotted.recorded.record()
    (snapshotted.root / "a").write_text("x")
    snapshotted.take()
    modes = {
        stat.S_IMODE(path.stat().st_mode): path.is_dir()
        for path in (
            snapshotted.recorded.run.snapshots,
            *snapshotted.recorded.run.snapshots.rglob("*"),
        )
    }
    assert modes == {0o700: True, 0o600: False}


def test_nothing_is_taken_unasked_where_nothing_has_changed(snapshotted: Snapshotted) -> None:
    """Touched files and what tools make are no change; whoever asks gets a snapshot all the same."""
    (snapshotted.root / "a").write_text("one")
    snapshotted.recorded.record()
    os.utime(snapshotted.root / "a")
    (snapshotted.root / "node_modules").mkdir()
    (snapshotted.root / "node_modules" / "x").write_text("x")
    assert snapshotted.take_if_due("detach") is None
    assert snapshotted.history.empty
    (snapshotted.root / "a").write_text("two")
    assert snapshotted.take_if_due("detach") is not None
    assert snapshotted.take_if_due("detach") is None
    assert snapshotted.take(ASKED).changed == 0


def test_unchanged_files_are_not_read_again(
    snapshotted: Snapshotted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second snapshot looks at metadata alone."""
    for name in "abc":
        (snapshotted.root / name).write_text(name)
    age(snapshotted.root)
    snapshotted.recorded.record()
    for name in "bc":
        (snapshotted.root / name).write_text(f"changed {name}")
    age(snapshotted.root)
    snapshotted.take()
    read: list[int] = []
    opened = Blobs.admits

    def noted(self: Blobs, size: int) -> bool:
        read.append(size)
        return opened(self, size)

    monkeypatch.setattr(Blobs, "admits", noted)
    (snapshotted.root / "c").write_text("again")
    second = snapshotted.take()
    assert read == [len("again")]
    assert snapshotted.content(second, "b") == b"changed b"


def test_contents_have_a_bound(snapshotted: Snapshotted) -> None:
    """What has no room is counted, and kept once there is room. What is too large is counted, too."""
    snapshotted.set_rules(Snapshots(limit=MIB))
    snapshotted.recorded.record()
    (snapshotted.root / "noise").write_bytes(os.urandom(2 * MIB))
    with (snapshotted.root / "hole").open("wb") as file:
        file.truncate(17 * MIB)
    first = snapshotted.take()
    assert (first.unkept, first.too_large) == (1, 1)
    assert snapshotted.content(first, "noise") is None
    assert not blobs(snapshotted)
    snapshotted.set_rules(Snapshots(limit=4 * MIB))
    second = snapshotted.take()
    assert second.unkept == 0
    assert snapshotted.content(second, "noise") == (snapshotted.root / "noise").read_bytes()


def test_tiny_contents_take_room_as_well(snapshotted: Snapshotted) -> None:
    """A file of one byte takes a block of the disk."""
    snapshotted.set_rules(Snapshots(limit=MIB))
    snapshotted.recorded.record()
    for number in range(300):
        (snapshotted.root / f"{number}").write_text(f"{number}")
    assert snapshotted.take().unkept == 300 - MIB // 4096


def test_old_snapshots_go_with_their_contents(snapshotted: Snapshotted) -> None:
    """But none that a user asked for, and nothing that another one needs. A number comes once."""
    snapshotted.set_rules(Snapshots(keep=2))
    snapshotted.recorded.record()
    (snapshotted.root / "both").write_text("both")
    for number in range(5):
        (snapshotted.root / "a").write_text(f"{number}")
        snapshotted.take(ASKED if number == 0 else "detach")
    assert [head.number for head in snapshotted.history.heads()] == [1, 4, 5]
    assert len(blobs(snapshotted)) == 4
    snapshotted.history.remove([5])
    (snapshotted.root / "a").write_text("after")
    assert snapshotted.take().number == 6
    assert snapshotted.content(snapshotted.history.heads()[0], "a") == b"0"
    snapshotted.history.remove([1, 4, 6])
    assert not blobs(snapshotted)
    assert snapshotted.recorded.run.start_manifest.exists()


def test_what_is_about_to_be_restored_does_not_expire(snapshotted: Snapshotted) -> None:
    """The snapshot before a restore makes no room for itself."""
    snapshotted.set_rules(Snapshots(keep=1))
    snapshotted.recorded.record()
    (snapshotted.root / "a").write_text("1")
    snapshotted.take("detach")
    snapshotted.take(RESTORE)
    assert len(snapshotted.history.heads()) == 2


def test_damage_is_named(snapshotted: Snapshotted) -> None:
    """A blob or a record that isn't what was written is never taken for it."""
    snapshotted.recorded.record()
    (snapshotted.root / "a").write_text("x")
    head = snapshotted.take()
    (blob,) = blobs(snapshotted)
    kept = blob.read_bytes()
    for damaged in (b"", kept[:3], b"x" + kept, None):
        if damaged is None:
            blob.unlink()
        else:
            blob.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"the blob {blob.parent.name}{blob.name}"):
            snapshotted.content(head, "a")
    record = snapshotted.recorded.run.snapshots / "1.snapshot"
    record.write_bytes(record.read_bytes()[:-1])
    with pytest.raises(StoreError, match="snapshot 1 can't be read"):
        snapshotted.history.load(1)
    record.write_bytes(b"")
    with pytest.raises(StoreError, match="snapshot 1 can't be read"):
        snapshotted.history.heads()


def test_a_killed_writer_leaves_nothing_that_counts(snapshotted: Snapshotted) -> None:
    """Half a blob or half a record is no part of the history, and goes with the next removal."""
    snapshotted.recorded.record()
    (snapshotted.root / "a").write_text("x")
    snapshotted.take()
    (blob,) = blobs(snapshotted)
    blob.with_name(f"{blob.name}.new").write_bytes(b"half")
    (snapshotted.recorded.run.snapshots / "2.snapshot.new").write_bytes(b"half")
    assert [head.number for head in snapshotted.history.heads()] == [1]
    snapshotted.history.remove([])
    assert blobs(snapshotted) == [blob]


def test_the_end_is_a_snapshot_where_that_is_wanted(snapshotted: Snapshotted) -> None:
    """With it the record of the start stays, and goes with the last snapshot."""
    snapshotted.set_rules(Snapshots(on=("end",)))
    snapshotted.recorded.record()
    (snapshotted.root / "a").write_text("x")
    freeze(snapshotted.recorded.run)
    last = newest(snapshotted.recorded.run, END)
    assert last is not None
    assert snapshotted.content(last.head, "a") == b"x"
    with changes_of(snapshotted.recorded.run, ended=True) as (changes, _):
        assert [change.path for change in changes.changes] == ["a"]
    (snapshotted.root / "a").write_text("edited")
    assert changed(snapshotted, last.head) == {"a"}
    snapshotted.history.remove([last.head.number])
    assert not snapshotted.recorded.run.start_manifest.exists()
    assert newest(snapshotted.recorded.run, END) is None


@pytest.mark.parametrize("rules", [Snapshots(on=("end",)), Snapshots()])
def test_a_run_that_changed_nothing_keeps_nothing(
    snapshotted: Snapshotted, rules: Snapshots
) -> None:
    """Nor does one that wants no snapshot of the end."""
    snapshotted.set_rules(rules)
    snapshotted.recorded.record()
    if not rules.on:
        (snapshotted.root / "a").write_text("x")
    freeze(snapshotted.recorded.run)
    assert snapshotted.history.empty
    assert not snapshotted.recorded.run.start_manifest.exists()
    with pytest.raises(MoatError, match="ended without a snapshot"):
        snapshotted.take()


def test_a_full_disk_is_said(snapshotted: Snapshotted) -> None:
    """With the place in which room is needed; the snapshots before it stay."""
    snapshotted.recorded.record()
    (snapshotted.root / "a").write_bytes(os.urandom(100_000))
    first = snapshotted.take()
    (snapshotted.root / "a").write_bytes(os.urandom(100_000))
    run = snapshotted.recorded.run
    with files_of_at_most(50_000), pytest.raises(MoatError) as caught:
        snapshotted.take()
    assert os.strerror(errno.EFBIG) in caught.value.summary
    assert str(run.root) in (caught.value.hint or "")
    saved = changes_of(run, ended=True)
    with files_of_at_most(0), pytest.raises(MoatError, match="can't be saved"), saved:
        pass
    assert snapshotted.history.heads() == [first]
    with changes_of(run, ended=True) as (changes, _):
        assert [each.path for each in changes.changes] == ["a"]


def test_a_folder_that_is_swapped_for_a_link_to_itself_stops_no_snapshot(
    snapshotted: Snapshotted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run can do that between two looks."""
    root = snapshotted.root
    (root / "a" / "b").mkdir(parents=True)
    snapshotted.recorded.record()
    (root / "a" / "b" / "file").write_text("x")
    (root / "other").write_text("y")

    def look_and_swap(place: Path, known: Manifest, *, hidden: Collection[str]) -> Manifest:
        found = take_manifest(place, known, hidden=hidden)
        (root / "a").rename(root / "aside")
        (root / "a").symlink_to("a")
        return found

    monkeypatch.setattr(taking, "take_manifest", look_and_swap)
    assert snapshotted.content(snapshotted.take(), "other") == b"y"


def test_the_worker_says_what_has_become_of_it(snapshotted: Snapshotted) -> None:
    """A head, nothing where nothing was due, or what failed and what to do."""
    run = snapshotted.recorded.run
    assert outcome(run, "detach", "")["failure"].startswith("nothing was recorded")
    snapshotted.recorded.record()
    assert outcome(run, "detach", "") == {}
    (snapshotted.root / "a").write_text("x")
    assert outcome(run, "asked", "label")["label"] == "label"
    snapshotted.root.rename(snapshotted.root.with_name("gone"))
    assert "is gone" in outcome(run, "asked", "")["failure"]
    run.spec.write_text("{}")
    assert "version" in outcome(run, "asked", "")["failure"]


def test_odd_files_are_no_obstacle(snapshotted: Snapshotted) -> None:
    """Pipes, files that nobody may read, links to nowhere and to themselves: noted, never opened."""
    snapshotted.recorded.record()
    os.mkfifo(snapshotted.root / "pipe")
    (snapshotted.root / "secret").write_text("x")
    (snapshotted.root / "secret").chmod(0)
    (snapshotted.root / "closed").mkdir()
    (snapshotted.root / "closed").chmod(0)
    (snapshotted.root / "loop").symlink_to("loop")
    (snapshotted.root / "out").symlink_to("/etc/passwd")
    head = snapshotted.take()
    assert head.files == 4
    folder = snapshotted.history.manifest(head).folders[""]
    assert folder.targets == {"loop": "loop", "out": "/etc/passwd"}
    assert "out" not in folder.contents
    (snapshotted.root / "closed").chmod(0o755)


names = st.sampled_from(["a", "b", "d/e", "d/f/g", "new\n", "\udcff"])
actions = st.lists(st.tuples(names, st.binary(max_size=3) | st.none()), max_size=6)


@settings(max_examples=25)
@given(steps=st.lists(actions, min_size=1, max_size=4))
def test_every_snapshot_is_what_was_there(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[tuple[str, bytes | None]]]
) -> None:
    """However files come, change and go between snapshots, and whichever of those are removed."""
    made = new_snapshotted(tmp_path_factory.mktemp("x"))
    act(made.root, steps[0])
    made.recorded.record()
    seen: dict[int, dict[str, bytes]] = {}
    for step in steps:
        act(made.root, step)
        seen[made.take().number] = files_in(made.root)
    if len(seen) > 1:
        made.history.remove([1])
        del seen[1]
    for head in made.history.heads():
        manifest = made.history.manifest(head)
        found = {
            f"{path}/{name}" if path else name
            for path, folder in manifest.folders.items()
            for name, status in folder.entries.items()
            if stat.S_ISREG(status[0])
        }
        assert {name: made.content(head, name) for name in found} == seen[head.number]


def act(root: Path, step: list[tuple[str, bytes | None]]) -> None:
    """Write files, and remove those without a content."""
    for name, content in step:
        path = root / name
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def files_in(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
