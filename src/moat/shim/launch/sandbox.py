"""A sandbox that another program has made, and that the shim fills and starts commands in.

Its files come from an image, and are hostile. So a process that has entered it and still has rights
loads no code from there: Python's import is switched off first (`close_imports`).
"""

from __future__ import annotations

import os
import sys

from moat.shim import linux
from moat.shim.launch import spawn

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from typing import Any, NoReturn


class Sandbox:
    """The sandbox of a container engine, known by its init."""

    def __init__(self, init: int, alive: int) -> None:
        """`init` is a pidfd. The init ends, and all of the sandbox, once nobody has `alive` open."""
        self.init = init
        self.alive = alive

    def mount(self, mounts: list[dict[str, Any]], sources: list[int], terminals: int) -> None:
        """Mount what `sources` have open; parents come before children. Raises `ValueError`.

        Each mount has `target`, `writable`, `folder`, which says what a missing mount point is, and
        `beside`, a path without which it isn't made. `terminals` is the number of ptys of the sandbox.
        """
        errors, errors_write = os.pipe()

        def become() -> NoReturn:
            trees = [
                linux.detached_mount(fd, writable=each["writable"])
                for fd, each in zip(sources, mounts, strict=True)
            ]
            close_imports()
            linux.setns(self.init, linux.CLONE_NEWNS)
            linux.remount_terminals(terminals)
            os.umask(0o022)
            for tree, each in zip(trees, mounts, strict=True):
                beside = each["beside"]
                if beside and not os.path.exists(beside):  # noqa: PTH110  no pathlib
                    continue
                make_mount_point(each["target"], folder=each["folder"])
                linux.attach_mount(tree, each["target"])
            os._exit(0)

        child = spawn.fork(become, errors_write)
        os.close(errors_write)
        with open(errors, "rb") as file:  # noqa: PTH123  a descriptor
            message = file.read().decode(errors="replace")
        os.waitpid(child, 0)
        if message:
            raise ValueError(f"not all can be mounted in the container: {message}")


def close_imports() -> None:
    """Have every further `import` fail: the files where Python looks are about to be a stranger's."""
    sys.path.clear()
    sys.meta_path.clear()
    sys.path_importer_cache.clear()


def make_mount_point(path: str, *, folder: bool) -> None:
    """Make an empty file or folder at `path`, and the folders above it, where there is nothing."""
    above = ""
    for name in path.strip("/").split("/")[:-1]:
        above += f"/{name}"
        _make_folder(above)
    (_make_folder if folder else _make_file)(path)


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path, 0o755)  # noqa: PTH102  no pathlib
    except FileExistsError:
        return


def _make_file(path: str) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    except FileExistsError:
        return
