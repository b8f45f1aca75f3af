"""What was recorded at a start, and what has changed since, in a real folder."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.workspace.recorded import Recorded, age

from moat.cli.diff_text import stat_lines, summaries
from moat.errors import MoatError, StoreError
from moat.workspace import recorder
from moat.workspace.changes import Change, Changes, Side, dumps, loads
from moat.workspace.content_store import ContentStore, forget, load
from moat.workspace.frozen_changes import changes_of, freeze
from moat.workspace.manifest import SIZE
from moat.workspace.walk import take_manifest

if TYPE_CHECKING:
    from pathlib import Path


def test_all_that_a_run_changes_shows(recorded: Recorded) -> None:
    """New, deleted and changed files, links, modes, kinds, empty folders; unchanged ones don't."""
    root = recorded.root
    for name in ("same", "changed", "deleted", "mode", "kind", "touched", "folder-mode/x"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(f"{name}\n")
    (root / "folder-mode").chmod(0o755)  # whatever the umask is
    (root / "link").symlink_to("same")
    (root / "same-link").symlink_to("same")
    recorded.record()
    (root / "changed").write_text("CHANGED\n")
    (root / "deleted").unlink()
    (root / "mode").chmod(0o4755)
    (root / "kind").unlink()
    (root / "kind").symlink_to("/etc/passwd")
    os.utime(root / "touched")
    (root / "folder-mode").chmod(0o700)
    (root / "link").unlink()
    (root / "link").symlink_to("changed")
    (root / "new" / "deep").mkdir(parents=True)
    (root / "new" / "deep" / "file").write_text("x")
    (root / "empty").mkdir()
    os.mkfifo(root / "fifo")
    changes = recorded.changes()
    assert sorted(changes) == [
        *("changed", "deleted", "empty", "fifo", "folder-mode", "kind", "link", "mode"),
        "new/deep/file",
    ]
    assert changes["deleted"].after is None
    mode = changes["mode"]
    assert mode.after is not None
    assert mode.after.mode & 0o7777 == 0o4755
    text = recorded.patch().decode()
    assert "# mode: permissions 0644 -> 4755\n" in text
    assert "# fifo: new FIFO" in text
    assert "# folder-mode: folder, permissions" in text
    assert "-changed\n+CHANGED\n" in text


def test_a_forged_time_hides_nothing(recorded: Recorded) -> None:
    """The size and the time of the last change are what they were; the content isn't."""
    file = recorded.root / "file"
    file.write_text("one\n")
    age(recorded.root)
    recorded.record()
    before = file.stat()
    file.write_text("two\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sorted(recorded.changes()) == ["file"]
    later = recorded.another("two")
    age(recorded.root)
    later.record()
    file.write_text("six\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert b"-two\n+six\n" in later.patch(), "the index of an earlier run isn't fooled either"


def test_a_patch_makes_the_one_from_the_other(recorded: Recorded, tmp_path: Path) -> None:
    """`git apply` takes it: odd names, no newline at the end, empty files, links, modes."""
    root = recorded.root
    contents = {
        "a b": "x\n",
        'q"uo\\te': "1\n2\n3\n",
        "tab\tnew\nline": "y",
        "é": "e\n",
        "crlf": "a\r\nb\r\n",
        "gone": "g\n",
        "script": "#!/bin/sh\n",
    }
    for name, text in contents.items():
        (root / name).write_text(text, newline="")
    (root / "link").symlink_to("gone")
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", root, copy], check=True)
    recorded.record()
    (root / "a b").write_text("x\ny\n")
    (root / 'q"uo\\te').write_text("1\n3\n4")
    (root / "tab\tnew\nline").write_text("y\n")
    (root / "é").write_text("")
    (root / "crlf").write_text("a\r\nc\r\n", newline="")
    (root / "gone").unlink()
    (root / "script").chmod(0o755)
    (root / "link").unlink()
    (root / "link").symlink_to("elsewhere")
    (root / "new empty").touch()
    (root / "sub dir").mkdir()
    (root / "sub dir" / "naïve \x1b[31m").write_text("z\n")
    subprocess.run(["git", "apply", "-"], input=recorded.patch(), cwd=copy, check=True)
    done = subprocess.run(
        ["diff", "-r", "--no-dereference", root, copy], capture_output=True, check=False
    )
    assert done.stdout == b""
    assert os.access(copy / "script", os.X_OK)


def test_what_a_file_was_is_known_from_an_earlier_run(recorded: Recorded) -> None:
    """A file that hasn't changed since isn't read again, and its content is there all the same."""
    root = recorded.root
    (root / "file").write_text("one\n")
    age(root)
    recorded.record()
    before = take_manifest(root)
    later = recorded.another("two")
    later.record()
    assert before.folders[""].entries == take_manifest(root).folders[""].entries
    (root / "file").write_text("two\n")
    assert b"-one\n+two\n" in later.patch()
    assert b"-one\n+two\n" in recorded.patch(), "two runs at once"


def test_a_file_that_changed_too_early_is_told(recorded: Recorded) -> None:
    """A run that is quicker than the recorder hides nothing: what is known is older, and said to be."""
    root = recorded.root
    for name in ("file", "deleted", "same"):
        (root / name).write_text("one\n")
    age(root)
    recorded.record()
    age(root)
    later = recorded.another("two")
    started_at = time.clock_gettime_ns(5)
    (root / "file").write_text("two\n")
    (root / "deleted").unlink()
    (root / "unknown").write_text("x\n")
    later.record(started_at=started_at)
    changes = later.changes()
    assert sorted(changes) == ["deleted", "file", "unknown"]
    assert changes["file"].late
    assert b"# file: changed before it was recorded" in later.patch()
    assert b"-one\n+two\n" in later.patch()
    assert any("changed before it was recorded" in note for note in later.notes())


def test_a_file_that_changes_while_it_is_read_is_not_kept(recorded: Recorded) -> None:
    """No content is taken for that of the start, if it may be another one."""
    root = recorded.root
    (root / "file").write_text("one\n")
    manifest = take_manifest(root)
    (root / "file").write_text("two, longer\n")
    store = ContentStore(recorded.home, str(root))
    with store.locked(), store.pack("contents-x") as pack:
        recorder._read(manifest, "", pack)
    assert manifest.folders[""].contents == {}


def test_the_end_is_frozen(recorded: Recorded) -> None:
    """What the user edits after the end isn't the run's; the run has all that its changes need."""
    file = recorded.root / "file"
    file.write_text("one\n")
    recorded.record()
    file.write_text("two\n")
    freeze(recorded.run)
    file.write_text("the user's\n")
    forget(recorded.home, str(recorded.root))
    assert b"-one\n+two\n" in recorded.patch(ended=True)
    assert not recorded.run.start_manifest.exists()
    freeze(recorded.run)
    assert b"-one\n+two\n" in recorded.patch(ended=True)


def test_folders_that_tools_fill_are_summed(recorded: Recorded) -> None:
    """Their files are counted, and not kept; a run can't make one of the user's folders such a one."""
    root = recorded.root
    (root / "node_modules" / "x").mkdir(parents=True)
    (root / "node_modules" / "x" / "old.js").write_text("1")
    (root / "build").mkdir()
    (root / "build" / "make.sh").write_text("make\n")
    recorded.record()
    (root / "node_modules" / "x" / "old.js").write_text("2")
    (root / "node_modules" / "x" / "new.js").write_text("2")
    (root / "build" / "CACHEDIR.TAG").write_text("")
    (root / "build" / "make.sh").write_text("evil\n")
    changes = recorded.changes()
    assert changes["build/make.sh"].generated is None
    assert changes["node_modules/x/new.js"].generated == "node_modules"
    assert list(summaries(each for each in changes.values() if each.generated)) == [
        b"# node_modules/: 1 added, 1 changed (files that tools make)\n"
    ]


def test_a_file_that_came_before_the_recording_is_a_change(recorded: Recorded) -> None:
    """A folder that was empty at the start is looked at again all the same, and so is the next run's."""
    (recorded.root / "empty").mkdir()
    age(recorded.root)
    (recorded.root / "empty" / "new").write_text("x")
    begun = (recorded.root / "empty").stat().st_ctime_ns
    age(recorded.root)
    recorded.record(started_at=begun)
    assert "empty/new" in recorded.changes()
    later = recorded.another("two")
    later.record()
    (recorded.root / "empty" / "new").write_text("y")
    assert "empty/new" in later.changes()


def test_large_and_binary_files_are_told(recorded: Recorded) -> None:
    """Of a large one the content is not kept; one that is huge is known by its metadata."""
    root = recorded.root
    (root / "large").write_bytes(b"x" * 2_000_000)
    with (root / "huge").open("wb") as file:
        file.truncate(10**12)
    recorded.record()
    (root / "large").write_bytes(b"y" * 2_000_000)
    with (root / "huge").open("r+b") as file:
        file.write(b"z")
    (root / "binary").write_bytes(b"a\0b")
    text = recorded.patch().decode()
    assert "# huge: changed; the content was not kept" in text
    assert "# large: changed; the content was not kept: before 2000000 bytes" in text
    assert "Binary files /dev/null and b/binary differ" in text
    with changes_of(recorded.run, ended=False) as (changes, _):
        lines = list(stat_lines((change, None, b"a\0b") for change in changes.changes))
    assert lines[-1] == b" 3 changed, 0 lines added, 0 removed\n"
    assert b" binary | binary\n" in lines


def test_nothing_is_followed_or_waited_for(recorded: Recorded, tmp_path: Path) -> None:
    """FIFOs, sockets, links to devices and out of the workspace; excluded paths aren't looked at."""
    root = recorded.root
    (tmp_path / "secret").write_text("secret")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "device").symlink_to("/dev/zero")
    (root / "folder").symlink_to(tmp_path)
    (root / "hidden").mkdir()
    (root / "hidden" / "x").write_text("x")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
    recorded.record(hidden=("hidden",))
    (root / "hidden" / "x").write_text("y")
    (root / "out").unlink()
    os.mkfifo(root / "out")
    assert sorted(recorded.changes()) == ["out"]
    assert recorder.hidden_paths(str(root), ["hidden", "folder", "a/../hidden/x"]) == {
        "hidden",
        "hidden/x",
    }


def test_names_that_are_not_text(recorded: Recorded) -> None:
    """A name is any bytes, and is quoted."""
    (recorded.root / "\udcff\n").mkdir()
    recorded.record()
    os.close(os.open(os.fsencode(recorded.root) + b"/\xff\n/\x1b[2J", os.O_CREAT))
    assert b'"b/\\377\\n/\\033[2J"' in recorded.patch()
    freeze(recorded.run)
    assert b'"b/\\377\\n/\\033[2J"' in recorded.patch(ended=True)


def test_a_bound_is_told(recorded: Recorded) -> None:
    """There may be more than can be looked at."""
    for number in range(20):
        (recorded.root / f"d{number}").mkdir()
    assert not take_manifest(recorded.root, limit=10).complete
    assert take_manifest(recorded.root, limit=100).complete


def test_a_folder_of_any_size_is_bounded(recorded: Recorded) -> None:
    """One folder can have more names than are looked at."""
    for number in range(20):
        (recorded.root / f"f{number}").touch()
    cut = take_manifest(recorded.root, limit=10)
    assert (cut.complete, len(cut.folders[""].entries)) == (False, 10)
    assert take_manifest(recorded.root, limit=100).complete


def test_what_is_read_is_bounded(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run can leave any number of files that are nothing but a hole."""
    monkeypatch.setattr("moat.workspace.contents.MAX_READ", 2500)
    for number in range(5):
        (recorded.root / f"f{number}").write_bytes(bytes(1000))
    recorded.record()
    manifest = load(recorded.run.start_manifest)
    assert manifest is not None
    sizes = [
        folder.entries[name][SIZE]
        for folder in manifest.folders.values()
        for name in folder.contents
    ]
    assert 1500 < sum(sizes) <= 2500


def test_a_pack_of_little_use_is_replaced(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no file has any more goes; a run that still needs it has its own name for the pack."""
    monkeypatch.setattr("moat.workspace.content_store._COMPACTED_ABOVE", 0)
    file = recorded.root / "file"
    (recorded.root / "other").write_text("other\n")
    file.write_bytes(os.urandom(1000))
    age(recorded.root)
    recorded.record()
    file.write_text("small\n")
    age(recorded.root)
    later = recorded.another("two")
    later.record()
    packs = list(recorded.home.glob("snapshots/*/contents-*"))
    assert len(packs) == 1
    assert packs[0].stat().st_size < 500
    assert recorded.changes()["file"].before is not None
    file.write_text("large\n")
    assert b"-small\n+large\n" in later.patch()
    assert ContentStore(recorded.home, str(recorded.root)).load() is not None
    third = recorded.another("three")
    third.record()
    (recorded.root / "other").write_text("o\n")
    assert b"-other\n+o\n" in third.patch()


def test_what_is_not_known_is_an_error(recorded: Recorded) -> None:
    """A run without a record, a workspace that is gone, a file that another version wrote."""
    with pytest.raises(MoatError, match="nothing was recorded"):
        recorded.changes()
    recorded.record()
    recorded.root.rmdir()
    freeze(recorded.run)
    with pytest.raises(MoatError, match="is gone"):
        recorded.changes(ended=True)
    recorded.run.changes.write_text('{"root": "/", "notes": [], "changes": [{"other": 1}]}')
    with pytest.raises(StoreError, match="can't be read"):
        recorded.changes(ended=True)


def test_changes_are_what_was_saved() -> None:
    """A new field has a default, so an older file can be read."""
    side = Side(0o100644, 3, "00" * 32, 5, 6)
    changes = Changes("/root", [Change("a\udc80", None, side, late=True)], ["note"])
    assert loads(dumps(changes)) == changes
    old = '{"path": "x", "before": null, "after": {"mode": 1, "size": 2}}'
    saved = f'{{"root": "/", "notes": [], "changes": [{old}]}}'.encode()
    assert loads(saved).changes == [Change("x", None, Side(1, 2))]
