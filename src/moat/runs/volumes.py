"""Volumes in the store: folders that last, for the runs of one project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.errors import MoatError, UsageError
from moat.runs import project_folders, service_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from moat.runs.project_folders import ProjectFolder
    from moat.runs.store import Run, Store
    from moat.spec import ServiceVolume

_KIND: Final = "volumes"


def volume_folder(home: Path, workspace: str, name: str) -> str:
    """Return the folder of a workspace's volume, which need not exist."""
    return str(project_folders.place(home, _KIND, workspace, name))


def volumes(home: Path) -> list[ProjectFolder]:
    """Return all volumes, those of one project beside each other."""
    return sorted(project_folders.folders(home, _KIND))


def users(store: Store, runs: Iterable[Run], volume: ProjectFolder) -> Iterator[Run]:
    """Yield those of the runs that have a volume. Raises `StoreError`."""
    for run in runs:
        spec = store.spec(run.id)
        folders = [each.folder for each in spec.volumes]
        folders += [each.volume.folder for each in spec.services if each.volume is not None]
        if str(volume.path) in folders:
            yield run


def check_unused(store: Store, run_id: str, volume: ServiceVolume) -> None:
    """Raise `MoatError` where another run that is alive has a service with this volume.

    Two servers that write the same files destroy them.
    """
    for run in store.all(ended=False):
        if run.id == run_id:
            continue
        for service in store.spec(run.id).services:
            if service.volume is not None and service.volume.folder == volume.folder:
                raise MoatError(
                    f"the service {service.name} of the run {run.name} has the volume {volume.name}",
                    f"Stop it: moat stop {run.name}",
                )


def remove(store: Store, volume: ProjectFolder) -> None:
    """Delete a volume and all that is in it. Raises `MoatError`, also while a run has it."""
    user = next(users(store, store.all(ended=False), volume), None)
    if user is not None:
        raise UsageError(
            f"the run {user.name} uses the volume {volume.name}", f"Stop it: moat stop {user.name}"
        )
    try:
        service_records.forget_volume(volume.path)
        project_folders.remove(volume.path)
    except OSError as exc:
        raise MoatError(f"{volume.path} can't be removed: {exc.strerror}", "Try again") from exc
