"""What outlives a supervisor besides the record: names with addresses, and rules given meanwhile."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

from moat.atomic import replace_file
from moat.egress.dns.synthetic_ips import LIMIT, SyntheticAddresses

if TYPE_CHECKING:
    from pathlib import Path


class PersistentAddresses(SyntheticAddresses):
    """On disk a line for each name, in the order of their addresses.

    Behind these, `number name` where an address was given to another name.
    """

    def __init__(self, path: Path) -> None:
        try:
            *lines, _ = path.read_text().split("\n")
        except FileNotFoundError:
            lines = []
        self._path = path
        self._fd = _open(path)
        self._size = sum(len(line) + 1 for line in lines)
        self._lines = len(lines)
        try:
            # The last supervisor was killed while it wrote: nobody has that name's address.
            os.truncate(self._fd, self._size)
        except BaseException:
            self.close()
            raise
        super().__init__(_names(lines), self._append)

    def close(self) -> None:
        os.close(self._fd)

    def _append(self, number: int, name: str) -> None:
        """All of the line or, where that fails, nothing: `OSError`."""
        if self._lines >= 2 * LIMIT:
            self._write_anew()
        line = (f"{name}\n" if number == self._lines else f"{number} {name}\n").encode("ascii")
        try:
            if os.write(self._fd, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.truncate(self._fd, self._size)
            raise
        self._size += len(line)
        self._lines += 1

    def _write_anew(self) -> None:
        """Without the names whose addresses others have: a hostile program asks without end."""
        text = "".join(f"{name}\n" for name in self._names)
        replace_file(self._path, text.encode("ascii"), durable=False)
        fd = _open(self._path)
        os.close(self._fd)
        self._fd, self._size, self._lines = fd, len(text), len(self._names)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _names(lines: list[str]) -> list[str]:
    names: list[str] = []
    for line in lines:
        number, again, name = line.partition(" ")
        if again:
            names[int(number)] = name
        else:
            names.append(line)
    return names


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
    replace_file(path, json.dumps(rules).encode(), durable=True)
