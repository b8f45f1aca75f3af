"""Bubblewrap's file system arguments, and the descriptors that they name."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

from moat.engines.under_shim.blank import blank
from moat.engines.under_shim.copies import COPIES, copies_folder, write_copy

if TYPE_CHECKING:
    from pathlib import Path, PurePath

    from moat.workspace.beneath import PathHandle


# The numbers below it belong to `command_line`.
FIRST_DESCRIPTOR: Final = 32
# One message can carry 253 descriptors (SCM_MAX_FD), some of which are the engine's.
_MAX_DESCRIPTORS: Final = 200


class Mounts:
    """The mounts of a sandbox, in the order in which bubblewrap makes them: parents before children.

    The caller closes the `descriptors` after bubblewrap has inherited them.
    """

    def __init__(self, private: Path) -> None:
        """Begin without mounts. The folder `private` is to hold the blank file and folder of `hide`."""
        self._private = private
        self.arguments: list[str] = []
        self.descriptors: list[int] = []
        self.links: list[tuple[str, str]] = []
        """Symbolic links that lie in the sandbox, each with the file over which it is to be mounted.

        Bubblewrap follows links, so the shim mounts these, once the sandbox is made.
        """

    def bind_read_only(self, source: Path, target: PurePath | str) -> None:
        self._add("--ro-bind", source, target)

    def bind(self, source: Path, target: PurePath | str) -> None:
        self._add("--bind", source, target)

    def bind_handle(self, source: PathHandle, target: PurePath | str, *, writable: bool) -> None:
        """Mount what was opened; the caller may close it afterwards.

        Bubblewrap compares the inode that it mounted with the descriptor's, and fails if somebody
        changed the path in between. When no more descriptors can be passed on, the path is mounted
        instead, and another run in the same workspace can win a race.
        """
        if len(self.descriptors) >= _MAX_DESCRIPTORS:
            bind = self.bind if writable else self.bind_read_only
            bind(source.path, target)
            return
        number = fcntl.fcntl(source.descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
        self.descriptors.append(number)
        self._add("--bind-fd" if writable else "--ro-bind-fd", number, target)

    def hide(self, target: PurePath | str, *, is_folder: bool) -> None:
        """Mount an empty, read-only file or folder over the target."""
        self.bind_read_only(blank(self._private, is_folder=is_folder), target)

    def show_copy(self, content: str, target: PurePath) -> None:
        """Show a file of the run's own, by a link over the target, which must be mounted already."""
        if not self.links:
            copies_folder(self._private).mkdir(mode=0o700, parents=True, exist_ok=True)
            self.bind(copies_folder(self._private), COPIES)
        link = write_copy(self._private, len(self.links), target.name, content)
        self.links.append((str(COPIES / link), str(target)))

    def make_folder(self, target: PurePath | str) -> None:
        self._add("--dir", target)

    def symlink(self, text: PurePath | str, target: PurePath | str) -> None:
        self._add("--symlink", text, target)

    def tmpfs(self, target: PurePath | str, *, size: int, mode: int = 0o755) -> None:
        """Mount an empty tmpfs that holds at most `size` bytes."""
        self._add("--perms", f"{mode:o}", "--size", size, "--tmpfs", target)

    def remount_read_only(self, target: PurePath | str) -> None:
        """Make one mount read-only, not those below it."""
        self._add("--remount-ro", target)

    def proc(self, target: PurePath | str) -> None:
        self._add("--proc", target)

    def dev(self, target: PurePath | str) -> None:
        self._add("--dev", target)

    def close(self) -> None:
        while self.descriptors:
            os.close(self.descriptors.pop())

    def _add(self, *words: object) -> None:
        self.arguments.extend(str(word) for word in words)
