"""The mounts that a user asks for, and those that are refused."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from moat.engines.bubblewrap.layout import Layout
from moat.errors import UsageError
from moat.spec import Mount

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sandbox import Sandbox

    from moat.spec.run import MountMode


@pytest.fixture
def data(sandbox: Sandbox) -> Path:
    folder = sandbox.home / "data"
    folder.mkdir()
    (folder / "file").write_text("content")
    return folder


def refusal(sandbox: Sandbox, source: Path | str, target: str, mode: MountMode = "rw") -> str:
    with pytest.raises(UsageError) as error:
        Layout.of(sandbox.spec(mounts=(Mount(str(source), target, mode),)), sandbox.private, b"")
    assert error.value.hint
    return error.value.summary


def test_folders_and_files_appear(sandbox: Sandbox, data: Path) -> None:
    """They are writable or not, as asked; in the workspace their target must exist."""
    (sandbox.workspace / "place").mkdir()
    mounts = (
        Mount(str(data), "/data", "rw"),
        Mount(str(data), "/workspace/place", "ro"),
        Mount(str(data / "file"), "/home/agent/.file", "ro"),
    )
    seen = sandbox.shell("touch /data/new; cat place/file ~/.file; ls /data", mounts=mounts)
    assert seen == "contentcontentfile\nnew"
    for target in ("/workspace/place/x", "/home/agent/.file"):
        assert "Read-only" in sandbox.run("touch", target, mounts=mounts).stderr


def test_a_mounted_repository_is_covered_too(sandbox: Sandbox, data: Path) -> None:
    """Its hooks are as dangerous as the workspace's."""
    subprocess.run(["git", "init", "-q", data], check=True)
    mounts = (Mount(str(data), "/data", "rw"),)
    assert "Read-only" in sandbox.run("touch", "/data/.git/hooks/x", mounts=mounts).stderr


def test_a_missing_source_is_an_error(sandbox: Sandbox) -> None:
    """It is not created."""
    assert "does not exist" in refusal(sandbox, sandbox.home / "missing", "/data")
    assert not (sandbox.home / "missing").exists()


@pytest.mark.parametrize(
    "target",
    [
        *("data", "/a/../b", "/", "/proc", "/proc/sys", "/dev/shm", "/workspace", "/home", "/etc"),
        *("/workspace/.git", "/workspace/.git/hooks", "/usr", "/sys/x"),
    ],
)
def test_the_sandboxs_own_paths_are_no_targets(sandbox: Sandbox, data: Path, target: str) -> None:
    """A mount can't replace what the sandbox is made of."""
    assert "target" in refusal(sandbox, data, target)


def test_targets_that_would_have_to_be_made(sandbox: Sandbox, data: Path) -> None:
    """None is created in the user's workspace, behind a link there, or in read-only folders."""
    (sandbox.workspace / "link").symlink_to(data)
    assert "plain" in refusal(sandbox, data, "/workspace/missing")
    assert "plain" in refusal(sandbox, data, "/workspace/link/x")
    assert "can't be created" in refusal(sandbox, data, "/usr/missing-folder")


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_the_store_is_never_mounted(sandbox: Sandbox, mode: MountMode) -> None:
    """A run that reads the store reads other runs; one that writes it forges them."""
    for source in (sandbox.home / ".moat", sandbox.home, sandbox.private.parent):
        source.mkdir(parents=True, exist_ok=True)
        assert "keeps its runs" in refusal(sandbox, source, "/data", mode)


def test_no_link_of_an_earlier_run_is_followed(sandbox: Sandbox, data: Path) -> None:
    """Neither the source nor a folder on the way to it may be such a link."""
    (sandbox.workspace / "link").symlink_to(data)
    (sandbox.workspace / "way").symlink_to(sandbox.home)
    assert "symbolic link" in refusal(sandbox, sandbox.workspace / "link", "/data")
    assert "symbolic link" in refusal(sandbox, sandbox.workspace / "way" / "data", "/data")
    (sandbox.home / "alias").symlink_to(sandbox.workspace)
    assert "symbolic link" in refusal(sandbox, sandbox.home / "alias" / "way" / "data", "/data")


def test_the_workspaces_covers_have_no_back_door(sandbox: Sandbox, repository: Path) -> None:
    """The protected files can't be mounted a second time, writable."""
    assert "protected" in refusal(sandbox, repository, "/data")
    assert "protected" in refusal(sandbox, repository / ".git" / "hooks", "/data")
