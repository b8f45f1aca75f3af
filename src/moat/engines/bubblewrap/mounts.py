"""What the sandbox sees, as it grows: bubblewrap's file system arguments and their descriptors."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path, PurePath

    from moat.workspace.beneath import PathHandle


# The shim and the trampoline place descriptors of their own below.
_FIRST_DESCRIPTOR: Final = 32
# One message can carry 253 descriptors (SCM_MAX_FD), and not all of them are ours.
_MOST_DESCRIPTORS: Final = 200


class Mounts:
    """Arguments in the order in which bubblewrap carries them out: parents before children.

    Whoever takes `descriptors` closes them, after bubblewrap has inherited them.
    """

    def __init__(self, private: Path) -> None:
        """Create an empty table; `private` holds the empty file and folder that `hide` shows."""
        self._private = private
        self.arguments: list[str] = []
        self.descriptors: list[int] = []

    def read_only(self, source: Path, target: PurePath | str) -> None:
        self._add("--ro-bind", source, target)

    def writable(self, source: Path, target: PurePath | str) -> None:
        self._add("--bind", source, target)

    def bind_handle(self, source: PathHandle, target: PurePath | str, *, writable: bool) -> None:
        """Bind what was opened; the caller may close it then.

        Bubblewrap compares the inode it has bound with the descriptor's and fails if a path was
        changed under its feet. Past the number of descriptors that can be passed on, the path
        itself is bound; a race is then possible, against another run in the same workspace.
        """
        if len(self.descriptors) >= _MOST_DESCRIPTORS:
            bind = self.writable if writable else self.read_only
            bind(source.path, target)
            return
        kept = fcntl.fcntl(source.descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
        self.descriptors.append(kept)
        self._add("--bind-fd" if writable else "--ro-bind-fd", kept, target)

    def hide(self, target: PurePath | str, *, is_folder: bool) -> None:
        """Mount an empty, read-only file or folder over the target."""
        self._private.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_folder:
            blank = self._private / "blank-folder"
            blank.mkdir(mode=0o555, exist_ok=True)
        else:
            blank = self._private / "blank-file"
            blank.touch(mode=0o444)
        self.read_only(blank, target)

    def folder(self, target: PurePath | str) -> None:
        self._add("--dir", target)

    def link(self, text: PurePath | str, target: PurePath | str) -> None:
        self._add("--symlink", text, target)

    def memory(self, target: PurePath | str, *, size: int, mode: int = 0o755) -> None:
        """An empty tmpfs of at most `size` bytes."""
        self._add("--perms", f"{mode:o}", "--size", size, "--tmpfs", target)

    def freeze(self, target: PurePath | str) -> None:
        """Make one mount read-only, not those below it."""
        self._add("--remount-ro", target)

    def processes(self, target: PurePath | str) -> None:
        self._add("--proc", target)

    def devices(self, target: PurePath | str) -> None:
        self._add("--dev", target)

    def close(self) -> None:
        while self.descriptors:
            os.close(self.descriptors.pop())

    def _add(self, *words: object) -> None:
        self.arguments.extend(str(word) for word in words)
