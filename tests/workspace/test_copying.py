"""Copies of workspaces, of real folders."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.full_disk import files_of_at_most

from moat.errors import MoatError, UsageError
from moat.workspace.copying import Copied, copy_workspace
from moat.workspace.manifest import Manifest, dumps, loads
from moat.workspace.walk import take_manifest

State = tuple[int, int, object]


def state_of(root: Path) -> dict[str, State]:
    """Kind and permissions, time of the last change, and content of all that is in a folder."""
    found: dict[str, State] = {}
    for path in sorted([root, *root.rglob("*")]):
        status = path.lstat()
        content: object = None
        if stat.S_ISLNK(status.st_mode):
            content = str(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        found[str(path.relative_to(root))] = (status.st_mode, status.st_mtime_ns, content)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def copy(root: Path, *exclude: str) -> tuple[Copied, Path]:
    target = root.with_name("copy")
    return copy_workspace(str(root), target, exclude), target


def test_everything_is_as_it_was(root: Path) -> None:
    """Contents, permissions, times and links, in folders that nobody may write, too."""
    (root / "a/b/c").mkdir(parents=True)
    (root / "a/b/c/file").write_bytes(os.urandom(300_000))
    (root / "script").write_text("#!/bin/sh\n")
    (root / "script").chmod(0o755)
    (root / "link").symlink_to("a/b")
    (root / "broken").symlink_to("/nowhere/\n")
    (root / os.fsdecode(b"\xff\n")).write_text("odd")
    (root / "empty").touch()
    (root / "closed").mkdir()
    (root / "closed/file").write_text("x")
    (root / "closed").chmod(0o555)
    os.utime(root / "script", ns=(1, 2_000_000_001))
    os.utime(root / "link", ns=(1, 3_000_000_001), follow_symlinks=False)
    os.utime(root / "a", ns=(1, 4_000_000_001))
    before = state_of(root)
    copied, target = copy(root)
    assert state_of(target) == before == state_of(root)
    assert copied.skipped == []
    assert copied.files == 5
    (target / "script").write_text("changed")
    assert state_of(root) == before


def test_the_original_is_noted_as_it_was_copied(root: Path) -> None:
    """Nobody has to read it again to know whether it has changed."""
    (root / "a").mkdir()
    (root / "a/file").write_text("x")
    (root / "a/link").symlink_to("file")
    (root / "b").touch()
    copied, _ = copy(root)
    expected = take_manifest(root)
    assert {
        path: (each.entries, each.targets) for path, each in copied.manifest.folders.items()
    } == {path: (each.entries, each.targets) for path, each in expected.folders.items()}
    assert loads(dumps(copied.manifest)) == copied.manifest


def test_nobody_gets_rights_by_a_copy(root: Path) -> None:
    """The bits by which a program has its owner's rights are not copied."""
    (root / "file").write_text("x")
    (root / "file").chmod(0o6755)
    _, target = copy(root)
    assert stat.S_IMODE((target / "file").stat().st_mode) == 0o755


def test_what_is_no_file_is_left_out_and_named(root: Path) -> None:
    """Pipes, sockets and what can't be read."""
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
    (root / "file").touch()
    copied, target = copy(root)
    assert list(target.iterdir()) == [target / "file"]
    assert dict(copied.skipped) == {"pipe": "is a FIFO", "socket": "is a socket"}


def test_what_is_excluded_is_there_in_name_alone(root: Path) -> None:
    """So the sandbox has something to cover, and the secret is nowhere else."""
    (root / "secret").write_text("secret")
    (root / "folder").mkdir()
    (root / "folder/secret").write_text("secret")
    (root / "key").symlink_to("secret")
    copied, target = copy(root, "key", "folder", "gone")
    assert (target / "secret").read_bytes() == b""
    assert (target / "key").readlink() == Path("secret")
    assert list((target / "folder").iterdir()) == []
    assert set(copied.manifest.hidden) == {"secret", "folder", "gone"}


def test_a_hole_takes_no_room(root: Path) -> None:
    """An earlier run may have left a file of a terabyte that has nothing in it."""
    with (root / "hole").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(b"x")
    _, target = copy(root)
    status = (target / "hole").stat()
    assert status.st_size == 1 << 40
    assert status.st_blocks < 1024
    with (target / "hole").open("rb") as file:
        file.seek(1 << 39)
        assert file.read(2) == b"x\0"


def test_no_link_leads_the_copy_out(root: Path, tmp_path: Path) -> None:
    """A folder that a run replaces by a link, over and over, shows nothing of where that leads."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    for number in range(30):
        (root / f"{number}").mkdir()
        (root / f"{number}/secret").write_text("mine")
    begun, over = threading.Event(), threading.Event()

    def swap() -> None:
        while not over.is_set():
            for number in range(30):
                place, aside = root / f"{number}", tmp_path / "aside"
                place.rename(aside)
                place.symlink_to(tmp_path / "outside")
                place.unlink()
                aside.rename(place)
            begun.set()

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        begun.wait()
        for number in range(20):
            target = tmp_path / f"copy-{number}"
            copy_workspace(str(root), target, ())
            found = {
                each.read_text() for each in target.glob("*/secret") if not each.parent.is_symlink()
            }
            assert found <= {"mine"}
    finally:
        over.set()
        thread.join()


def test_a_full_disk_is_said_in_one_line(root: Path) -> None:
    """The error has the reason and what to do."""
    (root / "file").write_bytes(bytes(range(256)) * 1024)
    with files_of_at_most(100_000), pytest.raises(MoatError) as caught:
        copy(root)
    assert os.strerror(errno.EFBIG) in caught.value.summary
    assert caught.value.hint is not None


def test_folders_nested_without_end_are_left_out(root: Path) -> None:
    """There is a bound on what is open at a time."""
    place = root
    for _ in range(160):
        place /= "d"
    place.mkdir(parents=True)
    copied, target = copy(root)
    ((path, reason),) = copied.skipped
    assert "more than" in reason
    assert (target / path).parent.is_dir()
    assert not (target / path).exists()


def test_a_linked_worktree_is_refused(root: Path, tmp_path: Path) -> None:
    """Its commits would go to the repository that it shares."""
    common = tmp_path / "main/.git"
    own = common / "worktrees/root"
    own.mkdir(parents=True)
    (common / "objects").mkdir()
    (common / "HEAD").touch()
    (own / "gitdir").write_text(f"{root}/.git\n")
    (own / "commondir").write_text("../..\n")
    (root / ".git").write_text(f"gitdir: {own}\n")
    with pytest.raises(UsageError, match="linked worktree"):
        copy(root)
    assert not root.with_name("copy").exists()


names = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=5
)
trees = st.recursive(
    st.binary(max_size=2000)
    | st.text("ab/.", min_size=1, max_size=6).map(lambda text: ("link", text)),
    lambda inner: st.dictionaries(
        names.filter(lambda each: each not in {".", ".."}), inner, max_size=4
    ),
    max_leaves=12,
)


def plant(place: Path, tree: object) -> None:
    match tree:
        case dict():
            place.mkdir()
            for name, inner in tree.items():
                plant(place / name, inner)
        case bytes():
            place.write_bytes(tree)
        case ("link", str(target)):
            place.symlink_to(target)
        case _:
            raise AssertionError(tree)


@given(tree=st.dictionaries(names.filter(lambda each: each not in {".", ".."}), trees, max_size=5))
@settings(max_examples=40, deadline=None)
def test_any_tree_is_copied(
    tree: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the names, and wherever its links lead."""
    folder = tmp_path_factory.mktemp("tree")
    plant(folder / "root", tree)
    copied, target = copy(folder / "root")
    assert state_of(target) == state_of(folder / "root")
    assert isinstance(copied.manifest, Manifest)
