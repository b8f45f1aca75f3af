"""What a run left in its copy, put into the workspace: in real folders."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workspace.copied import CopiedWorkspace, new_copied
from tests.workspace.test_restoring import change, contents, fill

from moat.errors import MoatError
from moat.workspace.apply_plan import Verdict
from moat.workspace.contents import MAX_HASHED

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path


def conflicts(copied: CopiedWorkspace, *, force: bool = False) -> set[str]:
    return {each.change.path for each in copied.plan(force=force).having(Verdict.CONFLICT)}


def held(copied: CopiedWorkspace) -> dict[str, str]:
    return {each.change.path: each.reason for each in copied.plan().having(Verdict.HELD)}


def test_the_workspace_becomes_what_the_copy_is(copied: CopiedWorkspace) -> None:
    """Contents, permissions, links, kinds, new and removed folders; another call has nothing to do."""
    fill(copied.root)
    copied.begin()
    change(copied.copy)
    (copied.copy / "mode").chmod(0o755)
    (copied.copy / "fifo").unlink()
    assert copied.apply()
    assert contents(copied.root) == contents(copied.copy)
    assert copied.apply() == []
    assert not copied.plan().having(Verdict.CONFLICT)


def test_permissions_are_what_the_run_left(copied: CopiedWorkspace) -> None:
    """The user's umask has no part in them, also not in those of a new folder."""
    copied.begin()
    (copied.copy / "folder").mkdir()
    (copied.copy / "folder").chmod(0o777)
    before = os.umask(0o077)
    try:
        assert copied.apply() == ["folder"]
    finally:
        os.umask(before)
    assert copied.apply() == []
    assert conflicts(copied) == set()


def test_files_full_of_holes_are_compared_by_their_data(copied: CopiedWorkspace) -> None:
    """Terabytes that nobody has written take no time, when they are applied and afterwards."""
    (copied.root / "before").write_text("x")
    copied.begin()
    for name in ("before", "new"):
        with (copied.copy / name).open("wb") as file:
            file.truncate(1 << 42)
            file.seek(1 << 41)
            file.write(b"by the run")
    assert copied.apply() == ["before", "new"]
    assert copied.apply() == []
    with (copied.root / "new").open("r+b") as file:
        file.seek(1 << 40)
        file.write(b"mine")
    assert conflicts(copied) == {"new"}


@contextmanager
def without_capabilities() -> Generator[None]:
    """Let this thread read no more than its user may, root included (capset(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, twice
    assert libc.capget(header, sets) == 0
    assert libc.capset(header, (ctypes.c_uint32 * 6)(0, *sets[1:3], 0, *sets[4:])) == 0
    try:
        yield
    finally:
        assert libc.capset(header, sets) == 0


def test_what_cant_be_read_stays_in_the_copy(copied: CopiedWorkspace) -> None:
    """Others don't wait for it."""
    copied.begin()
    for name in ("a", "b"):
        (copied.copy / name).write_text("x")
    (copied.copy / "a").chmod(0)
    with without_capabilities():
        assert "can't be read in the copy" in held(copied)["a"]
        assert copied.apply() == ["b"]


def test_what_a_run_cant_lend_isnt_applied(copied: CopiedWorkspace) -> None:
    """Rights of the owner (setuid) stay in the copy, and so do pipes."""
    copied.begin()
    (copied.copy / "file").write_text("x")
    (copied.copy / "file").chmod(0o4755)
    os.mkfifo(copied.copy / "pipe")
    assert list(held(copied)) == ["pipe"]
    assert copied.apply() == ["file"]
    assert (copied.root / "file").stat().st_mode & 0o7777 == 0o755


def test_what_was_changed_since_is_a_conflict(copied: CopiedWorkspace) -> None:
    """The user's own edits, removals and files are told from what nobody has touched."""
    for name in ("edited", "removed", "same", "touched", "gone", "equal"):
        (copied.root / name).write_text("before")
    copied.begin()
    for name in ("edited", "removed", "same", "touched", "made", "equal"):
        (copied.copy / name).write_text("by the run")
    (copied.copy / "gone").unlink()
    for name in ("edited", "made", "gone"):
        (copied.root / name).write_text("mine")
    (copied.root / "removed").unlink()
    (copied.root / "touched").write_text("before")  # as it was, at another time
    (copied.root / "equal").write_text("by the run")
    mine = {"edited", "removed", "made", "gone"}
    assert conflicts(copied) == mine
    assert {each.change.path for each in copied.plan().having(Verdict.DONE)} == {"equal"}
    assert conflicts(copied, force=True) == set()
    assert set(copied.apply(force=True)) == mine | {"same", "touched"}
    assert contents(copied.root) == contents(copied.copy)


@pytest.mark.parametrize("touches", [True, False])
def test_a_file_too_large_to_be_recorded_is_known_by_its_metadata(
    copied: CopiedWorkspace, *, touches: bool
) -> None:
    """Its content before isn't known, so whatever was done to it since counts."""
    with (copied.root / "large").open("wb") as file:
        file.truncate(MAX_HASHED + 1)
    copied.begin()
    with (copied.copy / "large").open("r+b") as file:
        file.write(b"by the run")
    if touches:
        (copied.root / "large").touch()
        assert conflicts(copied) == {"large"}
        return
    assert copied.apply() == ["large"]
    assert (copied.root / "large").read_bytes() == (copied.copy / "large").read_bytes()
    assert copied.apply() == []


def test_no_link_is_followed(copied: CopiedWorkspace, tmp_path: Path) -> None:
    """Neither one of the workspace's, nor one that has come into the copy since."""
    (tmp_path / "outside").mkdir()
    for name in ("theirs", "mine"):
        (copied.root / name).mkdir()
        (copied.root / name / "file").write_text("before")
    copied.begin()
    for name in ("theirs", "mine"):
        (copied.copy / name / "file").write_text("by the run")
        (copied.copy / name / "new").write_text("by the run")
    copied.plan()
    shutil.rmtree(copied.root / "mine")
    (copied.root / "mine").symlink_to(tmp_path / "outside")
    shutil.rmtree(copied.copy / "theirs")
    (copied.copy / "theirs").symlink_to("/etc")
    assert conflicts(copied, force=True) == {"mine/file", "mine/new"}
    assert set(held(copied)) == {"theirs/file", "theirs/new"}
    assert list((tmp_path / "outside").iterdir()) == []


def test_links_are_applied_as_they_are(copied: CopiedWorkspace) -> None:
    """What they lead to is not touched, and a link takes the place of a folder."""
    (copied.root / "folder").mkdir()
    (copied.root / "folder/file").write_text("x")
    copied.begin()
    shutil.rmtree(copied.copy / "folder")
    (copied.copy / "folder").symlink_to("/etc")
    copied.apply()
    assert (copied.root / "folder").readlink().as_posix() == "/etc"


def test_a_folder_with_files_of_the_users_stays(copied: CopiedWorkspace) -> None:
    """What the run has put in its place is a conflict, even by force."""
    (copied.root / "folder").mkdir()
    (copied.root / "folder/file").write_text("x")
    copied.begin()
    shutil.rmtree(copied.copy / "folder")
    (copied.copy / "folder").write_text("x")
    (copied.root / "folder/mine").write_text("mine")
    assert conflicts(copied, force=True) == {"folder"}


def test_what_programs_obey_needs_consent(copied: CopiedWorkspace) -> None:
    """New, changed or removed: it is held, with the program and the reason, and the rest is applied."""
    for name in (".env", "package.json"):
        (copied.root / name).write_text("before")
    copied.begin()
    (copied.copy / ".envrc").write_text("evil")
    (copied.copy / "sub/.vscode").mkdir(parents=True)
    (copied.copy / "sub/.vscode/tasks.json").write_text("evil")
    (copied.copy / ".github").symlink_to("evil")
    (copied.copy / ".env").unlink()
    (copied.copy / "package.json").write_text("after")
    found = held(copied)
    assert set(found) == {".envrc", "sub/.vscode/tasks.json", ".github", ".env"}
    assert "direnv" in found[".envrc"]
    assert copied.apply() == ["package.json"]
    assert set(copied.apply(trust=True)) == set(found)
    assert contents(copied.root) == contents(copied.copy)


def test_what_a_configuration_names_needs_consent(copied: CopiedWorkspace) -> None:
    """Hooks of a repository may lie anywhere, also in a folder that doesn't exist yet."""
    git = copied.root / ".git"
    for name in ("objects", "refs"):
        (git / name).mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "config").write_text("[core]\n\thooksPath = tools/hooks\n")
    copied.begin()
    (copied.copy / "tools/hooks").mkdir(parents=True)
    (copied.copy / "tools/hooks/pre-commit").write_text("evil")
    (copied.copy / "tools/other").write_text("fine")
    (copied.copy / "Tools/Hooks").mkdir(parents=True)
    (copied.copy / "Tools/Hooks/pre-push").write_text("evil")
    assert set(held(copied)) == {"tools/hooks/pre-commit", "Tools/Hooks/pre-push"}


def test_git_folders_are_left_to_git(copied: CopiedWorkspace) -> None:
    """The workspace's own, nested ones, and those under another name, with or without consent."""
    (copied.root / ".git/refs/heads").mkdir(parents=True)
    (copied.root / ".git/refs/heads/main").write_text("1")
    copied.begin()
    (copied.copy / ".git/config").write_text("evil")
    (copied.copy / "sub/.GIT").mkdir(parents=True)
    (copied.copy / "sub/.GIT/config").write_text("evil")
    (copied.copy / "link").mkdir()
    (copied.copy / "link/.git").write_text("gitdir: /evil")
    for name in ("objects", "refs", "hooks"):
        (copied.copy / "bare" / name).mkdir(parents=True)
    (copied.copy / "bare/HEAD").write_text("ref: x")
    (copied.copy / "bare/hooks/post-checkout").write_text("evil")
    (copied.copy / "file").write_text("x")
    assert copied.apply(trust=True) == ["file"]
    with copied.application() as application:
        assert not application.has_commits()


def test_no_folder_becomes_a_git_folder(copied: CopiedWorkspace) -> None:
    """Nor where the workspace has what the copy's lacks."""
    for name in ("objects", "refs"):
        (copied.root / "store" / name).mkdir(parents=True)
    copied.begin()
    (copied.copy / "store/refs").rmdir()
    (copied.copy / "store/HEAD").write_text("ref: refs/heads/main")
    (copied.copy / "store/config").write_text("evil")
    copied.apply(trust=True)
    assert not (copied.root / "store/HEAD").exists()


def test_commits_that_are_in_the_copy_alone_are_known(copied: CopiedWorkspace) -> None:
    """Until the workspace's repository names them, too."""
    (copied.root / ".git/refs/heads").mkdir(parents=True)
    (copied.root / ".git/refs/heads/main").write_text("1")
    copied.begin()
    (copied.copy / ".git/refs/heads/main").write_text("2")
    with copied.application() as application:
        assert application.has_commits()
        assert not list(application.left_behind())
    (copied.root / ".git/refs/heads/main").write_text("2")
    with copied.application() as application:
        assert not application.has_commits()


def test_what_isnt_applied_yet_is_known(copied: CopiedWorkspace) -> None:
    """Files, but not what tools have made."""
    copied.begin()
    (copied.copy / "file").write_text("x")
    (copied.copy / "node_modules/p").mkdir(parents=True)
    (copied.copy / "node_modules/p/i.js").write_text("x")
    with copied.application() as application:
        assert [each.path for each in application.left_behind()] == ["file"]
    copied.apply()
    with copied.application() as application:
        assert list(application.left_behind()) == []


def test_a_copy_that_was_edited_is_not_applied(copied: CopiedWorkspace) -> None:
    """What is taken over is what moat diff shows."""
    copied.begin()
    (copied.copy / "file").write_text("by the run")
    plan = copied.plan()
    (copied.copy / "file").write_text("BY THE RUN")
    assert "changed in the copy" in held(copied)["file"]
    with copied.application() as application, pytest.raises(MoatError, match="was not changed"):
        list(application.carry_out(plan, force=False))
    assert contents(copied.root) == {}


def test_what_changes_at_the_last_moment_stops_it(copied: CopiedWorkspace) -> None:
    """What was done stays done, what follows isn't, and the next call is told of the conflict."""
    copied.begin()
    for name in ("a", "b", "c"):
        (copied.copy / name).write_text("by the run")
    plan = copied.plan()
    (copied.root / "b").write_text("mine")
    with copied.application() as application, pytest.raises(MoatError, match="1 of 3"):
        list(application.carry_out(plan, force=False))
    assert {path.name: path.read_text() for path in copied.root.iterdir()} == {
        "a": "by the run",
        "b": "mine",
    }
    assert conflicts(copied) == {"b"}


def test_a_link_in_the_place_of_the_workspace_is_not_followed(
    copied: CopiedWorkspace, tmp_path: Path
) -> None:
    """Nor one in the place of a folder around it: another run may work there."""
    copied.root = tmp_path / "around" / "root"
    copied.root.mkdir(parents=True)
    copied.begin()
    (copied.copy / "file").write_text("x")
    copied.plan()
    (tmp_path / "victim" / "root").mkdir(parents=True)
    (tmp_path / "around").rename(tmp_path / "aside")
    (tmp_path / "around").symlink_to(tmp_path / "victim")
    with pytest.raises(MoatError, match="a symbolic link leads there"):
        copied.apply()
    assert contents(tmp_path / "victim" / "root") == {}


def test_a_folder_that_is_gone_is_said(copied: CopiedWorkspace) -> None:
    """Of the workspace and of the copy."""
    copied.begin()
    (copied.copy / "file").write_text("x")
    copied.plan()
    copied.root.rename(copied.root.with_name("moved"))
    with pytest.raises(MoatError, match=r"workspace .* can't be opened"), copied.application():
        pass
    copied.root.with_name("moved").rename(copied.root)
    copied.copy.rename(copied.copy.with_name("moved"))
    with pytest.raises(MoatError, match="copy can't be opened"), copied.application():
        pass


names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
actions = st.lists(
    st.tuples(
        st.sampled_from(["write", "remove", "link", "folder", "mode"]), paths, st.integers(0, 3)
    ),
    max_size=10,
)


def act(root: Path, listed: list[tuple[str, str, int]]) -> None:
    """Do what can be done of it."""
    deeds: dict[str, Callable[[Path, int], object]] = {
        "write": lambda place, number: place.write_text("x" * number),
        "remove": lambda place, _: shutil.rmtree(place) if place.is_dir() else place.unlink(),
        "link": lambda place, number: place.symlink_to("x" * (number + 1)),
        "folder": lambda place, _: place.mkdir(parents=True),
        "mode": lambda place, number: (
            place.chmod(0o700 + number) if not place.is_symlink() else None
        ),
    }
    for kind, path, number in listed:
        try:
            deeds[kind](root / path, number)
        except OSError:
            continue


@given(before=actions, run=actions, user=actions)
@settings(max_examples=60, deadline=None)
def test_nothing_of_the_users_is_lost(
    before: list[tuple[str, str, int]],
    run: list[tuple[str, str, int]],
    user: list[tuple[str, str, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Without a conflict all of the run's changes are there, and so are all others of the user's."""
    copied = new_copied(tmp_path_factory.mktemp("apply"))
    act(copied.root, before)
    original = contents(copied.root)
    copied.begin()
    act(copied.copy, run)
    act(copied.root, user)
    mine, theirs = contents(copied.root), contents(copied.copy)
    changed = {each.change.path for each in copied.plan(trust=True).steps}
    if copied.plan(trust=True).having(Verdict.CONFLICT):
        assert contents(copied.root) == mine
        return
    copied.apply(trust=True)
    after = contents(copied.root)
    for path in changed:
        assert after.get(path) == theirs.get(path)
    for path, state in mine.items():
        if path not in changed and state != original.get(path) and not stat.S_ISDIR(state[0]):
            assert after.get(path) == state
