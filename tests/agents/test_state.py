"""The state of agents in the store, which runs have written."""

from __future__ import annotations

import io
import os
import tarfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from moat.agents import state
from moat.runs import project_folders

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer


def made(home: Path, project: str = "/srv/app", agent: str = "claude") -> Path:
    folder = state.place(home, project, agent)
    project_folders.prepare(folder, project)
    (folder / ".claude").mkdir()
    (folder / ".claude" / "settings.json").write_text("{}")
    return folder


def test_states_are_listed_by_project_and_agent(tmp_path: Path) -> None:
    """Each has its size and time; making it twice changes nothing."""
    assert state.states(tmp_path) == []
    made(tmp_path, agent="codex")
    folder = made(tmp_path)
    project_folders.prepare(folder, "/srv/app")
    found = state.states(tmp_path)
    assert [(each.project, each.agent) for each in found] == [
        ("/srv/app", "claude"),
        ("/srv/app", "codex"),
    ]
    assert found[0].size == 2
    assert found[0].changed > 0
    assert list(found[0].paths()) == [".claude/settings.json"]


def test_a_removed_state_leaves_nothing_and_the_others(tmp_path: Path) -> None:
    """A link in it is removed as a link."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    made(tmp_path, agent="codex")
    (made(tmp_path) / "link").symlink_to(outside)
    first, second = state.states(tmp_path)
    first.remove()
    assert (outside / "kept").exists()
    assert [each.agent for each in state.states(tmp_path)] == ["codex"]
    second.remove()
    assert list((tmp_path / state.FOLDER).iterdir()) == []


def test_an_export_has_plain_files_alone(tmp_path: Path) -> None:
    """Neither a link, by which an archive writes elsewhere, nor a pipe, nor a login gets into it."""
    folder = made(tmp_path)
    (folder / ".claude" / ".credentials.json").write_text("secret")
    (folder / ".claude" / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / ".claude" / "pipe")
    [found] = state.states(tmp_path)
    archive = io.BytesIO()
    found.export(archive, [".claude/.credentials.json"])
    archive.seek(0)
    with tarfile.open(fileobj=archive) as opened:
        assert opened.getnames() == ["./.claude", "./.claude/settings.json"]


def test_folders_deeper_than_a_recursion(tmp_path: Path) -> None:
    """A run nests them to make the listing of all states fail; what is deep down is passed over."""
    folder = made(tmp_path)
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    [found] = state.states(tmp_path)
    assert list(found.paths()) == [".claude/settings.json"]
    assert found.size == 2
    archive = io.BytesIO()
    found.export(archive, [])
    assert archive.tell() > 0
    found.remove()


def test_a_time_that_no_calendar_has(tmp_path: Path) -> None:
    """Some file systems keep it."""
    folder = made(tmp_path)
    os.utime(folder / ".claude" / "settings.json", (0, 2**62))
    [found] = state.states(tmp_path)
    assert datetime.fromtimestamp(found.changed, UTC).year <= 9999


def test_a_run_that_swaps_files_for_links_during_an_export(tmp_path: Path) -> None:
    """What a link leads to on the host gets into no archive, and a file that shrinks ends nothing."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b").write_text("the host's")
    folder = made(tmp_path)
    (folder / "a").write_bytes(b"x" * 100_000)
    (folder / "file").write_text("ours")
    (folder / "folder").mkdir()
    (folder / "folder" / "b").write_text("ours")

    class Target(io.BytesIO):
        def write(self, data: Buffer, /) -> int:
            if not self.tell():
                os.truncate(folder / "a", 50_000)
                (folder / "file").unlink()
                (folder / "file").symlink_to(outside / "b")
                (folder / "folder").rename(folder / "moved")
                (folder / "folder").symlink_to(outside)
            return super().write(data)

    [found] = state.states(tmp_path)
    archive = Target()
    found.export(archive, [])
    assert b"the host's" not in archive.getvalue()
    archive.seek(0)
    with tarfile.open(fileobj=archive) as opened:
        assert opened.getmember("./a").size == 100_000
