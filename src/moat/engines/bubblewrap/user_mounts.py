"""The mounts that the user asks for."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.engines.bubblewrap.system import HOME, SYSTEM_FOLDERS
from moat.errors import UsageError
from moat.workspace.beneath import (
    PathHandle,
    SymbolicLinkError,
    open_beneath,
    open_folder,
    overlap,
    resolve,
)
from moat.workspace.covers import WORKSPACE, WritableFolder, mount_folder

if TYPE_CHECKING:
    from moat.engines.bubblewrap.mounts import Mounts
    from moat.engines.bubblewrap.toolchains import Grounds
    from moat.spec import Mount, RunSpec

_KERNEL: Final = tuple(map(PurePosixPath, ("/proc", "/dev", "/sys")))
_GIT: Final = WORKSPACE / ".git"
# Where the sandbox has read-only folders, no new mount point can be made.
_READ_ONLY: Final = tuple(map(PurePosixPath, ("/etc", *SYSTEM_FOLDERS)))
_OWN: Final = (
    *_READ_ONLY,
    *map(PurePosixPath, (WORKSPACE, HOME, "/run", "/tmp", "/var/tmp")),  # noqa: S108  the sandbox's own
)


def show_user_mounts(
    mounts: Mounts, spec: RunSpec, grounds: Grounds, *, shown: list[WritableFolder]
) -> list[WritableFolder]:
    """`shown`: folders that are writable already. What is read-only there is so here, too."""
    areas: list[WritableFolder] = []
    protected = [area.root / path for area in shown for path in area.protected.read_only]
    for mount in spec.mounts:
        target = _target(mount, grounds)
        source = _source(mount, grounds, protected)
        writable = mount.mode == "rw"
        if writable and source.is_dir() and not spec.writable_git:
            named = _protected_in(source, protected)
            areas.append(mount_folder(mounts, source, target, named=named))
        else:
            with _open(source) as opened:
                mounts.bind_handle(opened, target, writable=writable)
    return areas


def _target(mount: Mount, grounds: Grounds) -> PurePosixPath:
    target = PurePosixPath(mount.target)
    if not target.is_absolute() or ".." in target.parts:
        raise _refusal(mount, f"target {mount.target} is not an absolute path", "begin it with /")
    taken = (*_KERNEL, _GIT)
    if any(own.is_relative_to(target) for own in _OWN) or any(map(target.is_relative_to, taken)):
        raise _refusal(mount, f"target {target} is Moat's own", "choose another, such as /data")
    if target.is_relative_to(WORKSPACE):
        # A mount point made there would stay in the user's folder; one behind a link, anywhere.
        place = grounds.workspace / target.relative_to(WORKSPACE)
        if os.path.realpath(place) != str(place) or not place.exists():
            raise _refusal(
                mount,
                f"target {target} is not a plain file or folder of the workspace",
                "create it there, or choose a target outside /workspace",
            )
    elif any(map(target.is_relative_to, _READ_ONLY)) and not Path(target).exists():
        raise _refusal(
            mount,
            f"target {target} can't be created, for the folder above it is read-only",
            "choose another, such as /data",
        )
    return target


def _source(mount: Mount, grounds: Grounds, protected: list[Path]) -> Path:
    """What to show, with the user's links resolved; links inside the workspace are not his."""
    try:
        source = resolve(Path.cwd() / mount.source, grounds.workspace)
    except SymbolicLinkError as link:
        raise _refusal(
            mount,
            f"{link} is a symbolic link in the workspace",
            "a run may have made it; name what it leads to",
        ) from None
    if not source.exists():
        raise _refusal(
            mount, f"source {mount.source} does not exist", "create it, or correct the path"
        )
    if overlap(source, grounds.store):
        raise _refusal(
            mount,
            f"source {mount.source} would show {grounds.store}, where Moat keeps its runs",
            "a run must not read or change the record of runs; mount another folder",
        )
    if mount.mode == "rw" and (
        grounds.workspace.is_relative_to(source)
        or any(map(source.is_relative_to, (grounds.workspace / ".git", *protected)))
    ):
        raise _refusal(
            mount,
            f"source {mount.source} would open the workspace's protected files for writing",
            "mount it read-only",
        )
    return source


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
