"""Files, links and folders, put into a workspace in which a run may be at work.

No symbolic link is followed, and a file or link is replaced in one step: whoever looks finds the old one
or the new one.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.errors import MoatError
from moat.printable import without_controls
from moat.workspace.beneath import PathHandle, SymbolicLinkError, open_beneath, open_folder

if TYPE_CHECKING:
    from collections.abc import Callable

READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""O_NONBLOCK: a run may have put a FIFO in a file's place."""
PERMISSIONS: Final = 0o777
"""The bits of a mode that are put into a workspace: nobody's rights are lent (setuid, setgid)."""
_WRITE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def open_workspace(root: Path) -> PathHandle:
    """Open a workspace by its recorded path, which has no symbolic link.

    Another run may work on a folder around it, and have put a link there. Raises `MoatError`.
    """
    try:
        with open_folder(Path("/")) as top:
            opened = open_beneath(top, root.relative_to("/"))
    except SymbolicLinkError:
        why = "a symbolic link leads there now"
    except OSError as exc:
        why = exc.strerror or str(exc)
    else:
        if opened.is_folder:
            return PathHandle(opened.descriptor, root)
        os.close(opened.descriptor)
        why = os.strerror(errno.ENOTDIR)
    raise MoatError(
        f"the workspace {without_controls(str(root))} can't be opened: {why}",
        "Put the folder itself back in its place",
    )


def status_at(parent: PathHandle, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent.descriptor, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def put_file(parent: PathHandle, name: str, mode: int, fill: Callable[[int], None]) -> None:
    """Put a file in its place; `fill` writes its content, and nothing has changed if that raises."""

    def make(new: str) -> None:
        descriptor = os.open(new, _WRITE, 0o600, dir_fd=parent.descriptor)
        try:
            fill(descriptor)
            os.fchmod(descriptor, mode & PERMISSIONS)
        finally:
            os.close(descriptor)

    _put(parent, name, make)


def put_link(parent: PathHandle, name: str, target: str) -> None:
    _put(parent, name, lambda new: os.symlink(target, new, dir_fd=parent.descriptor))


def put_folder(parent: PathHandle, name: str, mode: int) -> None:
    """Make a folder in the place of whatever is there and isn't one."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent.descriptor)
    os.mkdir(name, 0o700, dir_fd=parent.descriptor)
    set_mode(parent, PurePosixPath(name), mode)  # mkdir leaves out what the umask does


def _put(parent: PathHandle, name: str, make: Callable[[str], None]) -> None:
    temporary = f".{os.urandom(8).hex()}.moat"
    try:
        make(temporary)
        os.replace(temporary, name, src_dir_fd=parent.descriptor, dst_dir_fd=parent.descriptor)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=parent.descriptor)
        raise


def set_mode(parent: PathHandle, name: PurePosixPath, mode: int) -> None:
    with open_beneath(parent, name) as opened:
        os.chmod(f"/proc/self/fd/{opened.descriptor}", mode & PERMISSIONS)  # noqa: PTH101  O_PATH: no fchmod


def remove(parent: PathHandle, name: str) -> None:
    """Remove what is there; a folder has to be empty."""
    present = status_at(parent, name)
    if present is None:
        return
    if stat.S_ISDIR(present.st_mode):
        os.rmdir(name, dir_fd=parent.descriptor)
    else:
        os.unlink(name, dir_fd=parent.descriptor)


def make_room(parent: PathHandle, name: str) -> None:
    """Remove a folder, which has to be empty, so that a file or link can take its place."""
    present = status_at(parent, name)
    if present is not None and stat.S_ISDIR(present.st_mode):
        os.rmdir(name, dir_fd=parent.descriptor)


def make_folders(
    top: PathHandle, path: PurePosixPath, mode_of: Callable[[PurePosixPath], int] = lambda _: 0o777
) -> PathHandle:
    """Make a folder and those above it, as far as they don't exist, and open it."""
    for folder in (*reversed(path.parents[:-1]), path):
        if not folder.name:
            continue
        with open_beneath(top, folder.parent) as parent, suppress(FileExistsError):
            os.mkdir(folder.name, mode_of(folder) & PERMISSIONS, dir_fd=parent.descriptor)
    return open_beneath(top, path)


def remove_empty_folders(
    top: PathHandle, path: PurePosixPath, stays: Callable[[PurePosixPath], bool]
) -> None:
    """Remove a folder that is empty now, and those above it, as git does, up to one that `stays`."""
    for folder in (path, *path.parents):
        if not folder.name or stays(folder):
            return
        try:
            with open_beneath(top, folder.parent) as parent:
                os.rmdir(folder.name, dir_fd=parent.descriptor)
        except (OSError, SymbolicLinkError):
            return
