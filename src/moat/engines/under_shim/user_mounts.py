"""The mounts that the user asks for."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.engines.under_shim.places import HOME, SYSTEM_FOLDERS
from moat.errors import UsageError
from moat.workspace.beneath import (
    PathHandle,
    SymbolicLinkError,
    open_beneath,
    open_folder,
    overlap,
    resolve,
)
from moat.workspace.covers import WORKSPACE, WritableFolder, hide_sockets, mount_folder
from moat.workspace.host_sockets import live_sockets

if TYPE_CHECKING:
    from moat.engines.under_shim.own_folders import OwnFolders
    from moat.spec import Mount, RunSpec
    from moat.workspace.covers import Mounts

_KERNEL: Final = tuple(map(PurePosixPath, ("/proc", "/dev", "/sys")))
_GIT: Final = WORKSPACE / ".git"
# No mount point can be created in these, for they are read-only in the sandbox.
_READ_ONLY: Final = tuple(map(PurePosixPath, ("/etc", *SYSTEM_FOLDERS)))
_OWN: Final = (
    *_READ_ONLY,
    *map(PurePosixPath, (WORKSPACE, HOME, "/run", "/tmp", "/var/tmp")),  # noqa: S108  the sandbox's own
)


def mount_user_mounts(
    mounts: Mounts, spec: RunSpec, host: OwnFolders, writable: list[WritableFolder]
) -> list[WritableFolder]:
    """Add the mounts; return the folders among them to clean up after the run.

    A path that is protected in one of the `writable` folders is protected in a mount too. Raises
    `UsageError`.
    """
    folders: list[WritableFolder] = []
    protected = [folder.root / path for folder in writable for path in folder.protected.read_only]
    for mount in spec.mounts:
        target = target_of(mount, host)
        source = _source(mount, host, protected)
        is_writable = mount.mode == "rw"
        if is_writable and source.is_dir() and not spec.writable_git:
            named = _protected_in(source, protected)
            rows = spec.protected_paths
            folders.append(mount_folder(mounts, source, target, named=named, rows=rows))
        else:
            with _open(source) as opened:
                mounts.bind_handle(opened, target, writable=is_writable)
            if source.is_dir():
                hide_sockets(mounts, source, target, live_sockets(source))
    return folders


def target_of(mount: Mount, host: OwnFolders) -> PurePosixPath:
    """Return the place of a mount in the sandbox. Raises `UsageError` for one that it may not have."""
    target = PurePosixPath(mount.target)
    if not target.is_absolute() or ".." in target.parts:
        raise _refusal(mount, f"target {mount.target} is not an absolute path", "begin it with /")
    taken = (*_KERNEL, _GIT)
    if any(own.is_relative_to(target) for own in _OWN) or any(map(target.is_relative_to, taken)):
        raise _refusal(
            mount, f"target {target} belongs to the sandbox itself", "choose another, such as /data"
        )
    if target.is_relative_to(WORKSPACE):
        # A mount point created there would stay in the user's folder, or wherever a link leads.
        place = host.workspace / target.relative_to(WORKSPACE)
        if os.path.realpath(place) != str(place) or not place.exists():
            raise _refusal(
                mount,
                f"target {target} is not a plain file or folder of the workspace",
                "create it there, or choose a target outside /workspace",
            )
    elif any(map(target.is_relative_to, _READ_ONLY)) and not Path(target).exists():
        raise _refusal(
            mount,
            f"target {target} can't be created: the folder above it is read-only",
            "choose another, such as /data",
        )
    return target


def _source(mount: Mount, host: OwnFolders, protected: list[Path]) -> Path:
    """Return what to mount, with the user's symbolic links resolved, but not the workspace's."""
    try:
        given = resolve(Path.cwd() / mount.source, host.original)
        source = resolve(host.shown(given), host.workspace)
    except SymbolicLinkError as link:
        raise _refusal(
            mount,
            f"{link} is a symbolic link in the workspace",
            "a run may have made it; mount what it leads to",
        ) from None
    _check_source(mount, source, host, protected)
    return source


def _check_source(mount: Mount, source: Path, host: OwnFolders, protected: list[Path]) -> None:
    if not source.exists():
        raise _refusal(
            mount, f"source {mount.source} does not exist", "create it, or correct the path"
        )
    if overlap(source, host.store) and not source.is_relative_to(host.workspace):
        raise _refusal(
            mount,
            f"source {mount.source} would show {host.store}, where Moat keeps its runs",
            "no run may read or change the record of runs; mount another folder",
        )
    if mount.mode == "rw" and (
        any(each.is_relative_to(source) for each in (host.workspace, host.original))
        or any(map(source.is_relative_to, (host.workspace / ".git", *protected)))
    ):
        raise _refusal(
            mount,
            f"source {mount.source} would make the workspace's protected files writable",
            "mount it read-only",
        )


def _protected_in(source: Path, protected: list[Path]) -> list[str]:
    return [str(path.relative_to(source)) for path in protected if path.is_relative_to(source)]


def _open(source: Path) -> PathHandle:
    try:
        with open_folder(Path("/")) as root:
            return open_beneath(root, source.relative_to("/"))
    except (SymbolicLinkError, OSError) as exc:
        raise UsageError(f"mount source {source} can't be opened: {exc}", "try again") from exc


def _refusal(mount: Mount, reason: str, hint: str) -> UsageError:
    return UsageError(f"mount {mount.source}:{mount.target}: {reason}", hint)
