"""The folder and the mounts of one run: of the settings, of the project's file, of the command line."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from moat.config.agent_file import outside_workspace
from moat.config.mounts import split_mount
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.config.agent_file import Project
    from moat.spec import Mount


def run_mounts(
    given: Iterable[str], settings: Iterable[str], project: Project
) -> tuple[Mount, ...]:
    """Return all mounts, with sources that exist; `given` are those of the command line."""
    workspace = project.folder
    listed = [_project_mount(each, workspace) for each in project.content.get("mounts", ())]
    return (
        *(_mount(each, workspace) for each in settings),
        *listed,
        *(_mount(each, Path.cwd()) for each in given),
    )


def _project_mount(text: str, workspace: Path) -> Mount:
    mount = _mount(text, workspace)
    # The source may be a symbolic link that leads out of the workspace.
    if not Path(mount.source).resolve().is_relative_to(workspace):
        raise outside_workspace(text)
    return mount


def _mount(text: str, folder: Path) -> Mount:
    """Parse a mount and make its source, which is relative to `folder` and must exist, absolute."""
    mount = split_mount(text)
    source = folder / expanded(mount.source)
    if not source.exists():
        raise UsageError(f"mount source {source} does not exist", "Create it, or correct the path")
    return replace(mount, source=str(source))


def expanded(path: str) -> Path:
    """Expand `~`. Unlike `Path.expanduser`, leave the name of an unknown user as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def workspace_folder(path: str) -> Path:
    """Return the real path of a project's folder. Raises `UsageError`."""
    try:
        resolved = expanded(path).resolve(strict=True)
        os.listdir(resolved)  # noqa: PTH208  tests the permission to read
    except NotADirectoryError:
        raise UsageError(f"{path} is not a folder", "Name the project's folder") from None
    except OSError as exc:
        raise UsageError(
            f"{path} can't be read: {exc.strerror}",
            "A command goes after --, as in: moat run -- COMMAND",
        ) from None
    return resolved
