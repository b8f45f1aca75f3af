"""What outlives a supervisor besides the record: names with addresses, and rules given meanwhile."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

from moat.egress.names_table import NamesTable

if TYPE_CHECKING:
    from pathlib import Path


class KeptNames(NamesTable):
    """On disk a line for each name, in the order of their addresses."""

    def __init__(self, path: Path) -> None:
        try:
            *known, _ = path.read_text().split("\n")
        except FileNotFoundError:
            known = []
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._size = sum(len(name) + 1 for name in known)
        try:
            # The last supervisor was killed while it wrote: nobody has that name's address.
            os.truncate(self._fd, self._size)
        except BaseException:
            self.close()
            raise
        super().__init__(known, self._append)

    def close(self) -> None:
        os.close(self._fd)

    def _append(self, name: str) -> None:
        """All of the line or, where that fails, nothing: `OSError`."""
        line = f"{name}\n".encode("ascii")
        try:
            if os.write(self._fd, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.truncate(self._fd, self._size)
            raise
        self._size += len(line)


def read_rules(path: Path) -> list[str]:
    """Newest first. Raises `OSError`, for a damaged file, too."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return []
    except ValueError as exc:
        raise OSError(errno.EILSEQ, "damaged", str(path)) from exc


def write_rules(path: Path, rules: list[str]) -> None:
    """All of them or, where that fails, none: `OSError`. When it returns, they are on disk."""
    new = path.with_suffix(".new")
    with new.open("w") as file:
        json.dump(rules, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
