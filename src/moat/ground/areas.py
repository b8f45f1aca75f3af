"""Decisions by path alone about which folders a run may be given. Pure.

All paths are absolute, and those of areas have no symbolic link in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moat.errors import UsageError
from moat.ground.home_paths import OBEYED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SYSTEM: Final = (
    *("/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys"),
    *("/usr/bin", "/usr/games", "/usr/include", "/usr/lib", "/usr/lib32", "/usr/lib64"),
    *("/usr/libexec", "/usr/libx32", "/usr/sbin", "/usr/share"),
    *("/usr/local/bin", "/usr/local/etc", "/usr/local/games", "/usr/local/include"),
    *("/usr/local/lib", "/usr/local/lib64", "/usr/local/libexec", "/usr/local/sbin"),
    *("/usr/local/share", "/gnu/store", "/nix/store", "/nix/var", "/run/systemd", "/run/udev"),
    *("/var/lib/dpkg", "/var/lib/rpm", "/var/spool/cron"),
)
"""Folders that are the system's, with everything in them."""

_SHARED: Final = ("/dev/shm", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  named to be refused
"""Folders in which all programs have files and sockets. A folder in one may be a project."""

_WHOLE: Final = (
    *("/", "/dev", "/gnu", "/home", "/nix", "/opt", "/run", "/usr", "/usr/local", "/var"),
    "/var/lib",
)
"""Folders that hold parts of the system or of its users. A folder in one may be a project."""


_COPY: Final = "copy what is needed to a folder of its own, and work there"
_READ_ONLY: Final = "mount it read-only (:ro)"


class Area(NamedTuple):
    """A folder or file that the sandbox is to see."""

    name: str
    """The user's words for the area: `workspace /x`, `mount /x:/y`."""
    path: str
    writable: bool = True
    is_workspace: bool = False


class Ground(NamedTuple):
    """Something that Moat obeys."""

    name: str
    """A description that ends a sentence: `where Moat keeps its runs`."""
    places: tuple[str, ...]
    """Every place on the way to it, links among them; the last one is where it lies."""
    remedy: str
    names: frozenset[str] | None = None
    """The names in it that matter, without suffixes; all of them if this is `None`.

    An area may lie in it under any other name, and must not hold it.
    """
    free: str = ""
    """A folder in it in which an area may lie, for nothing in there matters."""


def refuse_unfit(area: Area, homes: Sequence[str]) -> None:
    """Raise `UsageError` for an area that is no project, but a part of the host.

    `homes` are the home folders of this machine's people, the user's first.
    """
    below = "work in a folder below it" if area.is_workspace else "mount what the run needs of it"
    reason = _home_shown(area.path, homes)
    if reason is not None:
        raise UsageError(f"{area.name} {reason}", below)
    if not area.writable:
        return
    reason = _system_part(area.path)
    if reason is not None:
        raise UsageError(f"{area.name} {reason}", below if area.is_workspace else _READ_ONLY)
    reason = _obeyed(area.path, homes)
    if reason is not None:
        raise UsageError(f"{area.name} {reason}", _COPY if area.is_workspace else _READ_ONLY)


def _home_shown(path: str, homes: Sequence[str]) -> str | None:
    for home in homes:
        if is_in(home, path):
            what = "is a home folder" if home == path else f"holds the home folder {home}"
            return f"{what}, with its keys and passwords"
    return None


def _system_part(path: str) -> str | None:
    if path in _SHARED or path.rpartition("/")[0] == "/run/user":
        return "is shared: all programs have files and sockets there"
    holds = path in _WHOLE or any(folder.startswith(f"{path}/") for folder in (*_SHARED, *_SYSTEM))
    return "holds parts of the system" if holds else None


def _obeyed(path: str, homes: Sequence[str]) -> str | None:
    for folder in _SYSTEM:
        if is_in(path, folder):
            return f"would let the run change {folder}, obeyed by the whole system"
    for home in homes:
        for name, program in OBEYED.items():
            obeyed = f"{home.rstrip('/')}/{name}"
            if is_in(path, obeyed) or is_in(obeyed, path):
                return f"would let the run change {obeyed}, obeyed by {program}"
    return None


def refuse_overlap(area: Area, grounds: Iterable[Ground]) -> None:
    """Raise `UsageError` for a writable area that holds something that Moat obeys, or lies in it."""
    for ground in grounds:
        # Where it lies is told rather than the way there.
        held = next((each for each in reversed(ground.places) if is_in(each, area.path)), None)
        if held is None and _is_part(area.path, ground):
            held = area.path
        if held is not None:
            raise UsageError(
                f"{area.name} would let the run change {held}, {ground.name}", ground.remedy
            )


def _is_part(path: str, ground: Ground) -> bool:
    place = ground.places[-1].rstrip("/")
    if not path.startswith(f"{place}/") or (ground.free and path.startswith(f"{ground.free}/")):
        return False
    name = path[len(place) + 1 :].partition("/")[0].partition(".")[0]
    return ground.names is None or name in ground.names


def is_in(path: str, folder: str) -> bool:
    """Return whether a path is the folder, or below it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
