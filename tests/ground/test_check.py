"""A run that is refused because of what it would be given."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from moat.errors import UsageError
from moat.ground.check import Surroundings, check_areas
from moat.spec import Mount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@pytest.fixture
def workspace(folder: Path) -> Path:
    (folder / "project").mkdir()
    return folder / "project"


def refused(
    workspace: Path,
    *mounts: Mount,
    environment: Mapping[str, str] | None = None,
    others: Sequence[str] = (),
    **around: Any,
) -> str:
    """Return the lines of the error that refuses a run; empty if it may start."""
    variables = {"PATH": "/usr/bin:/bin", **(environment or {})}
    here = Surroundings(f"{workspace.parent}/store", variables, **around)
    try:
        check_areas(str(workspace), mounts, here, others=others)
    except UsageError as error:
        return str(error)
    return ""


def test_a_project_is_no_danger(workspace: Path) -> None:
    """Nor is a folder that is mounted, nor one of the system's that is only shown."""
    mounts = (Mount(str(workspace.parent), "/data"), Mount("/usr/share", "/share", "ro"))
    assert refused(workspace, mounts[1], Mount(str(workspace), "/again")) == ""
    assert "keeps its runs" in refused(workspace, mounts[0])


def test_moat_in_the_workspace(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the two lines that a user needs."""
    venv = workspace / ".venv"
    monkeypatch.setattr(sys, "prefix", str(venv))
    assert refused(workspace).splitlines() == [
        f"workspace {workspace} would let the run change {venv}, which is Moat's Python",
        "install Moat elsewhere (uv tool install moat, or pipx install moat), or work in another folder",
    ]


def test_the_environment_leads_into_the_workspace(workspace: Path) -> None:
    """What the run leaves there would be the next moat's."""
    assert "PYTHONPATH" in refused(workspace, environment={"PYTHONPATH": f"{workspace}/src"})


def test_the_home_folder_is_refused_for_its_own_sake(workspace: Path) -> None:
    """However it is called, and wherever the store is."""
    environment = {"HOME": str(workspace)}
    assert "is a home folder" in refused(workspace, environment=environment)
    (workspace.parent / "link").symlink_to(workspace)
    assert "is a home folder" in refused(workspace.parent / "link", environment=environment)
    (workspace.parent / "other").mkdir()
    mount = Mount(str(workspace), "/data", "ro")
    assert "is a home folder" in refused(workspace.parent / "other", mount, environment=environment)


def test_another_persons_home_folder(workspace: Path) -> None:
    """Root may look everywhere; `/etc/passwd` says where people live."""
    for folder in ("/root", "/"):
        assert "home folder" in refused(workspace, Mount(folder, "/data", "ro"))


def test_a_program_that_moat_starts(workspace: Path, folder: Path) -> None:
    """It may be reached through a link in the workspace."""
    (workspace / "bin").mkdir()
    (folder / "bwrap").touch()
    (workspace / "bin" / "bwrap").symlink_to(folder / "bwrap")
    assert "programs" in refused(workspace, programs=(str(workspace / "bin" / "bwrap"),))
    assert refused(workspace, programs=(str(folder / "bwrap"),)) == ""


def test_the_path_by_which_moat_was_started(workspace: Path) -> None:
    """A link to the command, in a folder that the run could write."""
    (workspace / "moat").symlink_to(sys.executable)
    assert "by which moat was started" in refused(workspace, command=str(workspace / "moat"))


def test_folders_of_path_are_not_mounted_to_be_written(workspace: Path, folder: Path) -> None:
    """Those of the project are its own affair: the user has put them on PATH."""
    tools = folder / "tools"
    (tools / "bin").mkdir(parents=True)
    (workspace / ".venv" / "bin").mkdir(parents=True)
    environment = {"PATH": os.pathsep.join((f"{workspace}/.venv/bin", "bin", f"{tools}/bin"))}
    assert refused(workspace, environment=environment) == ""
    assert "PATH" in refused(workspace, Mount(str(tools), "/tools"), environment=environment)
    assert "PATH" in refused(workspace, Mount(str(tools / "bin"), "/x"), environment=environment)
    assert refused(workspace, Mount(str(tools / "bin" / "x"), "/x"), environment=environment) == ""
    assert refused(workspace, Mount(str(tools), "/tools", "ro"), environment=environment) == ""


def test_a_repository_that_comes_along(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A linked worktree brings its repository, which is elsewhere and writable too."""
    repository = workspace.parent / "repository" / ".git"
    monkeypatch.setattr(sys, "prefix", str(repository / "venv"))
    assert refused(workspace) == ""
    assert refused(workspace, others=(str(repository),)).startswith(f"repository {repository}")
