"""What an agent finds in its home, where earlier runs may have left anything."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from moat.engines.bubblewrap.agent_home import mount_agent_home
from moat.engines.bubblewrap.mounts import Mounts
from moat.errors import UsageError
from moat.spec import AgentFile, AgentSetup, Grant, RunId, RunSpec, SandboxFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SETUP = AgentSetup(
    name="own",
    folders=(".own",),
    credentials=(".own/login.json", ".own/unused"),
    files=(
        AgentFile(path=".own/theme", content="dark", kind="once"),
        AgentFile(path=".own/config.json", content='{"a": {"b": 1}, "l": [1]}', kind="merged"),
        AgentFile(path=".own/login.json", content="placeholder", kind="run"),
    ),
    guide=".own/rules/moat.md",
)


def begin(tmp_path: Path, setup: AgentSetup = SETUP, run: str = "one", **given: object) -> Mounts:
    """Lay out the home of a run that keeps its state, and return its mounts."""
    spec = RunSpec(
        id=RunId("0123456789ab"),
        name=run,
        command=("own",),
        workspace="/srv/app",
        created_at="2026-11-23T08:09:10.123Z",
        agent=replace(setup, state=str(tmp_path / "state" / "key" / "own")),
        **given,  # type: ignore[arg-type]
    )
    private = tmp_path / run
    (private / "home").mkdir(parents=True)
    mounts = Mounts(private)
    mount_agent_home(mounts, spec, private)
    mounts.close()
    return mounts


def kept(tmp_path: Path) -> Path:
    return tmp_path / "state" / "key" / "own" / ".own"


def test_a_first_run_finds_its_files_and_mounts_what_lasts(tmp_path: Path) -> None:
    """The login and the guide are links to what is this run's alone."""
    mounts = begin(tmp_path)
    assert (kept(tmp_path) / "theme").read_text() == "dark"
    assert json.loads((kept(tmp_path) / "config.json").read_text()) == {"a": {"b": 1}, "l": [1]}
    login = str((kept(tmp_path) / "login.json").readlink())
    assert login == "/home/agent/.moat/.own/login.json"
    assert (tmp_path / "one" / "home" / ".moat/.own/login.json").read_text() == "placeholder"
    assert str((kept(tmp_path) / "rules/moat.md").readlink()) == "/run/moat/agent/guide.md"
    assert "--bind-fd" in mounts.arguments
    assert mounts.arguments[-1] == "/home/agent/.own"
    assert (kept(tmp_path).parent.parent / "project").read_text() == "/srv/app"


def test_a_later_run_keeps_what_the_user_has_chosen(tmp_path: Path) -> None:
    """Only what must be is set again; a real login that lies there is removed."""
    begin(tmp_path)
    (kept(tmp_path) / "theme").write_text("light")
    (kept(tmp_path) / "config.json").write_text('{"a": {"b": 2, "c": 3}, "l": [2], "x": 1}')
    (kept(tmp_path) / "unused").write_text("a real token")
    (kept(tmp_path) / "login.json").unlink()
    (kept(tmp_path) / "login.json").write_text("a real token")
    begin(tmp_path, run="two")
    assert (kept(tmp_path) / "theme").read_text() == "light"
    merged = json.loads((kept(tmp_path) / "config.json").read_text())
    assert merged == {"a": {"b": 1, "c": 3}, "l": [2, 1], "x": 1}
    assert not (kept(tmp_path) / "unused").exists()
    assert (kept(tmp_path) / "login.json").is_symlink()


def test_files_of_grants_have_their_places(tmp_path: Path) -> None:
    """A login is the run's own, another file is written once."""
    files = (
        SandboxFile(path=".own/login.json", content="granted"),
        SandboxFile(path=".own/account", content="me"),
        SandboxFile(path=".elsewhere", content="x"),
    )
    begin(tmp_path, grants=(Grant(provider="own", files=files),))
    assert (tmp_path / "one" / "home" / ".moat/.own/login.json").read_text() == "granted"
    assert (kept(tmp_path) / "account").read_text() == "me"


def test_the_list_of_a_merged_file_stays_short(tmp_path: Path) -> None:
    """Each run may add to it."""
    begin(tmp_path)
    (kept(tmp_path) / "config.json").write_text(json.dumps({"l": list(range(2, 500))}))
    begin(tmp_path, run="two")
    items = json.loads((kept(tmp_path) / "config.json").read_text())["l"]
    assert (len(items), items[-1]) == (100, 1)


@pytest.mark.parametrize(
    "leave",
    [
        lambda path, _: path.write_text("// a comment\n{}"),
        lambda path, _: path.write_text("[" * 100_000),
        lambda path, _: path.write_bytes(b" " * (5 << 20)),
        lambda path, _: os.mkfifo(path),
        lambda path, outside: path.symlink_to(outside),
    ],
    ids=["comments", "deep", "huge", "pipe", "link"],
)
def test_what_cant_be_merged_is_left_alone(
    tmp_path: Path, leave: Callable[[Path, Path], object]
) -> None:
    """Nobody waits for a pipe, follows a link, or throws away what a user wrote."""
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    begin(tmp_path)
    path = kept(tmp_path) / "config.json"
    path.unlink()
    leave(path, outside)
    before = path.lstat()
    begin(tmp_path, run="two")
    assert path.lstat().st_ino == before.st_ino
    assert outside.read_text() == "{}"


@pytest.mark.parametrize("name", ["theme", "config.json", "login.json", "rules"])
def test_a_link_that_a_run_left_leads_nowhere(tmp_path: Path, name: str) -> None:
    """Nothing is written where a hostile run has pointed to."""
    victim = tmp_path / "victim"
    victim.mkdir()
    begin(tmp_path)
    place = kept(tmp_path) / name
    if place.is_dir():
        (place / "moat.md").unlink()
        place.rmdir()
    else:
        place.unlink()
    place.symlink_to(victim if name == "rules" else victim / "file")
    if name == "rules":
        with pytest.raises(UsageError, match="can't be used"):
            begin(tmp_path, run="two")
    else:
        begin(tmp_path, run="two")
    assert list(victim.iterdir()) == []


def test_a_folder_that_a_run_replaced_is_not_mounted(tmp_path: Path) -> None:
    """The sandbox gets what lies in the store, or nothing; the error says what to do."""
    begin(tmp_path)
    root = tmp_path / "state" / "key" / "own"
    (root / ".own").rename(root / "elsewhere")
    (root / ".own").symlink_to(tmp_path)
    with pytest.raises(UsageError) as refused:
        begin(tmp_path, run="two")
    assert "moat state rm" in str(refused.value.hint)


def test_a_run_without_an_agent_has_none_of_it(tmp_path: Path) -> None:
    """Nothing is made, and nothing mounted."""
    spec = RunSpec(
        id=RunId("0123456789ab"),
        name="plain",
        command=("true",),
        workspace="/srv/app",
        created_at="2026-11-23T08:09:10.123Z",
    )
    mounts = Mounts(tmp_path)
    mount_agent_home(mounts, spec, tmp_path)
    assert mounts.arguments == []
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_run_has_its_files_in_its_own_home(tmp_path: Path) -> None:
    """Nothing of it lasts, and it finds the same."""
    spec = RunSpec(
        id=RunId("0123456789ab"),
        name="fresh",
        command=("own",),
        workspace="/srv/app",
        created_at="2026-11-23T08:09:10.123Z",
        agent=SETUP,
    )
    (tmp_path / "home").mkdir()
    mounts = Mounts(tmp_path)
    mount_agent_home(mounts, spec, tmp_path)
    assert (tmp_path / "home" / ".own" / "theme").read_text() == "dark"
    assert "--bind-fd" not in mounts.arguments
