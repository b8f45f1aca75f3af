"""Moat's own files that have a second name (a hard link), by which a run could write them.

uv and conda save space this way: a module in Moat's environment may be the same file as one in their
cache and in the `.venv` of a project. What a run writes there would be Moat's next import. So each of
Moat's files gets a copy of its own, once after an installation.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import TYPE_CHECKING, Final

from moat.errors import UsageError
from moat.ground.areas import is_in
from moat.ground.own import SYSTEM_PREFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGES: Final = ("site-packages", "dist-packages")
# An installer links all files of a package or none. So this one tells about each package.
_SAMPLE: Final = "METADATA"


def separate_own_files() -> int:
    """Copy Moat's own files that have another name, and return how many there were.

    Programs that run already go on with the files that they have loaded, this one included. Raises
    `UsageError` for a file that can't be replaced.
    """
    shared = [path for folder in _folders() if _has_shared(folder) for path in _shared_in(folder)]
    if sys.executable and _is_shared(os.path.realpath(sys.executable)):
        shared.append(os.path.realpath(sys.executable))
    # The samples come last: whoever is interrupted begins again.
    for path in sorted(shared, key=lambda each: each.endswith(f"/{_SAMPLE}")):
        _separate(path)
    return len(shared)


def _folders() -> list[str]:
    """Return the folders of `sys.path` that belong to an installation other than the system's."""
    prefixes = {os.path.realpath(each) for each in (sys.prefix, sys.base_prefix)} - SYSTEM_PREFIXES
    entries = dict.fromkeys(map(os.path.realpath, filter(None, sys.path)))
    return [each for each in entries if any(is_in(each, prefix) for prefix in prefixes)]


def _has_shared(folder: str) -> bool:
    """Look at a file of each package, or at one of the standard library."""
    if folder == os.path.dirname(os.path.realpath(os.__file__)):  # noqa: PTH120  strings, for speed
        return _is_shared(os.path.realpath(os.__file__))
    try:
        with os.scandir(folder) as entries:
            packages = [each.path for each in entries if each.name.endswith(".dist-info")]
    except OSError:
        return False  # an archive, or nothing
    return any(_is_shared(f"{package}/{_SAMPLE}") for package in packages)


def _shared_in(folder: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _PACKAGES]
        for name in files:
            if _is_shared(f"{place}/{name}"):
                yield f"{place}/{name}"


def _is_shared(path: str) -> bool:
    """Return whether a file has another name, and we may write it: so might a run of ours."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    is_ours = os.geteuid() in {0, status.st_uid}
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and is_ours


def _separate(path: str) -> None:
    import shutil  # noqa: PLC0415  once after an installation

    new = f"{path}.new-{os.urandom(4).hex()}"
    try:
        try:
            shutil.copy2(path, new)
            os.replace(new, path)  # noqa: PTH105
        except OSError:
            if os.path.exists(new):  # noqa: PTH110
                os.unlink(new)  # noqa: PTH108
            raise
    except OSError as exc:
        if exc.errno == errno.EROFS:
            return  # nobody writes there, whatever the name
        raise UsageError(
            f"{path} of Moat's has another name (hard link) that a run may write, and a copy can't take"
            f" its place: {exc.strerror}",
            "install Moat with copies of its files: UV_LINK_MODE=copy uv tool install --reinstall moat",
        ) from exc
