"""The volumes of a run, which earlier runs have written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from moat.engines.under_shim.user_mounts import target_of
from moat.errors import UsageError
from moat.runs import project_folders
from moat.spec import Mount
from moat.workspace.beneath import open_folder
from moat.workspace.covers import WritableFolder, mount_folder

if TYPE_CHECKING:
    from moat.engines.under_shim.own_folders import OwnFolders
    from moat.spec import RunSpec
    from moat.workspace.covers import Mounts


def mount_volumes(mounts: Mounts, spec: RunSpec, host: OwnFolders) -> list[WritableFolder]:
    """Add the volumes; return those among them to clean up after the run. Raises `UsageError`."""
    folders: list[WritableFolder] = []
    for volume in spec.volumes:
        target = target_of(Mount(volume.name, volume.target, volume.mode), host)
        try:
            project_folders.prepare(Path(volume.folder), spec.workspace)
            root = Path(os.path.realpath(volume.folder))
            if volume.mode == "rw" and not spec.writable_git:
                rows = spec.protected_paths
                folders.append(mount_folder(mounts, root, target, rows=rows))
            else:
                with open_folder(root) as opened:
                    mounts.bind_handle(opened, target, writable=volume.mode == "rw")
        except OSError as exc:
            raise UsageError(
                f"the volume {volume.name} can't be used: {exc.strerror}",
                f"Look at {volume.folder}, or remove it: moat volume rm {volume.name}",
            ) from exc
    return folders
