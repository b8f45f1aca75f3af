"""Entries of a folder that is held by a descriptor: read, written and renamed without following links.

Another run may be at work in the same workspace, so nothing here is done by path. Nothing is deleted
either: what has to go is renamed and stays beside its old place.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from moat.workspace.beneath import PathHandle

# `read_text` returns these for what isn't a regular file. They begin with a zero byte, which git
# refuses in any text that it reads.
LINK: Final = "\0link "
UNREADABLE: Final = "\0"

_MAX_BYTES: Final = 1024 * 1024
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read_text(folder: PathHandle, name: str, limit: int = _MAX_BYTES) -> str | None:
    """Return the text of a file, or `None` where nothing is there.

    For a symbolic link that is `LINK` and its target; for a folder, a socket, a file that is too
    large and one that git can't read either, `UNREADABLE`.
    """
    try:
        descriptor = os.open(name, _READ, dir_fd=folder.descriptor)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            return f"{LINK}{os.readlink(name, dir_fd=folder.descriptor)}"
        if exc.errno in {errno.ENXIO, errno.EACCES}:  # a socket; no permission
            return UNREADABLE
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return UNREADABLE
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    return UNREADABLE if len(data) > limit else data.decode(errors="surrogateescape")


def is_regular(text: str) -> bool:
    """Return whether a text of `read_text` is that of a regular file."""
    return not text.startswith(UNREADABLE)


def list_names(folder: PathHandle) -> list[str]:
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder.descriptor)
    try:
        return os.listdir(descriptor)  # noqa: PTH208  a path can't be a descriptor
    finally:
        os.close(descriptor)


def exists(folder: PathHandle, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def is_folder(folder: PathHandle, name: str) -> bool:
    status = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
    return stat.S_ISDIR(status.st_mode)


def set_aside(folder: PathHandle, name: str) -> str:
    """Rename an entry so that no program obeys it; return the new name."""
    make_writable(folder)
    new = f"{name}.disarmed"
    while exists(folder, new):
        new = f"{name}.disarmed-{os.urandom(4).hex()}"
    os.rename(name, new, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)
    return new


def write_new(folder: PathHandle, name: str, text: str) -> None:
    """Create a file; raises `FileExistsError` if the name is taken."""
    descriptor = os.open(name, _WRITE, 0o644, dir_fd=folder.descriptor)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)


def overwrite(folder: PathHandle, name: str, text: str) -> None:
    """Put a new file in the place of the old one, in one step."""
    make_writable(folder)
    new = f"{name}.new-{os.urandom(4).hex()}"
    write_new(folder, new, text)
    os.replace(new, name, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)


def make_writable(folder: PathHandle) -> None:
    """Regain the permission to list the folder and to rename in it, which a run may have removed."""
    mode = stat.S_IMODE(os.fstat(folder.descriptor).st_mode)
    if mode & 0o700 != 0o700:
        os.chmod(f"/proc/self/fd/{folder.descriptor}", mode | 0o700)  # noqa: PTH101  O_PATH: no fchmod
