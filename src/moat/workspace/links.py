"""Other names of protected files, by which a run could write them: symbolic links and hard links."""

from __future__ import annotations

import os
import stat
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from moat.workspace.beneath import open_beneath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.workspace.beneath import PathHandle

_MAX_FILES: Final = 1_000
"""Files of one protected folder that are looked at: more than any has, and a bound on a hostile one."""

# More than any path has, and a bound on links that lead to each other.
_MAX_STEPS: Final = 400

# Git's object files are shared by hard links between clones, and named by what they contain.
_OBJECTS: Final = "objects"


def files_at(path: str) -> Iterator[str]:
    """Yield the path itself or, of a folder, everything in it that isn't a folder, at any depth."""
    if not os.path.isdir(path) or os.path.islink(path):  # noqa: PTH112, PTH114  strings, for speed
        yield path
        return
    yield from islice(_walk(path), _MAX_FILES)


def _walk(folder: str) -> Iterator[str]:
    for where, folders, files in os.walk(folder):
        if _OBJECTS in folders:
            folders.remove(_OBJECTS)
        folders.sort()
        links = (name for name in folders if os.path.islink(f"{where}/{name}"))  # noqa: PTH114
        for name in sorted([*files, *links]):
            yield f"{where}/{name}"


def links_in(folder: Path) -> Iterator[Path]:
    """Yield the symbolic links in a protected folder."""
    if not os.path.isdir(folder) or os.path.islink(folder):  # noqa: PTH112, PTH114  strings, for speed
        return
    for file in files_at(str(folder)):
        if os.path.islink(file):  # noqa: PTH114  strings, for speed
            yield Path(file)


def linked_paths(root: Path, folder: Path) -> Iterator[PurePosixPath]:
    """Yield what symbolic links in a protected folder lead to, as far as it lies in `root`.

    It need not exist.
    """
    for link in links_in(folder):
        target = Path(os.path.realpath(link))
        if target != root and target.is_relative_to(root):
            yield PurePosixPath(target.relative_to(root))


def links_on_the_way(root: Path, link: Path) -> Iterator[PurePosixPath]:
    """Yield the other symbolic links in `root` by which a link leads to its target."""
    ahead = list(reversed(link.readlink().parts))
    here = link.parent
    for _ in range(_MAX_STEPS):
        if not ahead:
            return
        here = Path(os.path.normpath(here / ahead.pop()))  # `here` has no links that .. could skip
        if here.is_symlink():
            if here != root and here.is_relative_to(root):
                yield PurePosixPath(here.relative_to(root))
            ahead.extend(reversed(here.readlink().parts))
            here = here.parent


def break_hard_links(root: PathHandle, path: PurePosixPath) -> list[PurePosixPath]:
    """Give every file at or below `path` that has more than one name a copy of its own.

    A run could write the file by its other name. The other name keeps the old file. Returns the paths
    that were copied; raises `OSError` or `SymbolicLinkError`.
    """
    shared: list[PurePosixPath] = []
    for file in files_at(f"{root.path}/{path}"):
        status = os.lstat(file)
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            relative = PurePosixPath(Path(file).relative_to(root.path))
            with open_beneath(root, relative.parent) as folder:
                _copy_in_place(folder, relative.name)
            shared.append(relative)
    return shared


def _copy_in_place(folder: PathHandle, name: str) -> None:
    new = f"{name}.new-{os.urandom(4).hex()}"
    read = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder.descriptor)
    with os.fdopen(read, "rb") as source:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        write = os.open(new, flags, 0o600, dir_fd=folder.descriptor)
        try:
            with os.fdopen(write, "wb") as copy:
                _copy(source, copy)
            os.replace(new, name, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)
        except OSError:
            os.unlink(new, dir_fd=folder.descriptor)
            raise


def _copy(source: IO[bytes], copy: IO[bytes]) -> None:
    """Copy contents, permissions and times."""
    import shutil  # noqa: PLC0415  loads slowly

    status = os.fstat(source.fileno())
    shutil.copyfileobj(source, copy)
    copy.flush()
    os.fchmod(copy.fileno(), stat.S_IMODE(status.st_mode))
    os.utime(copy.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
