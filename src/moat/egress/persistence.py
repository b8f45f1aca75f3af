"""State of the network that the next supervisor takes over: addresses, added rules, changed limits.

The record of traffic has its own file (`traffic.writer`), the certificate authority another (`tls.ca`).
"""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

from moat.atomic import replace_file
from moat.egress.dns.synthetic_ips import LIMIT, SyntheticAddresses

if TYPE_CHECKING:
    from pathlib import Path


class PersistentAddresses(SyntheticAddresses):
    """Synthetic addresses that are on disk before anybody is told of them.

    The file has a line for each name, in the order of their addresses. A line `number name` gives an
    address to another name.
    """

    def __init__(self, path: Path) -> None:
        """Read the file, or create it. Raises `OSError`."""
        try:
            *lines, _ = path.read_text().split("\n")
        except FileNotFoundError:
            lines = []
        self._path = path
        self._fd = _open(path)
        self._size = sum(len(line) + 1 for line in lines)
        self._lines = len(lines)
        try:
            # A last line without an end: that supervisor was killed before it could tell the address.
            os.truncate(self._fd, self._size)
        except BaseException:
            self.close()
            raise
        super().__init__(_parse_names(lines), self._append)

    def close(self) -> None:
        os.close(self._fd)

    def _append(self, number: int, name: str) -> None:
        """Append a whole line, or none: then `OSError` is raised."""
        if self._lines >= 2 * LIMIT:
            self._rewrite()
        line = (f"{name}\n" if number == self._lines else f"{number} {name}\n").encode("ascii")
        try:
            if os.write(self._fd, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.truncate(self._fd, self._size)
            raise
        self._size += len(line)
        self._lines += 1

    def _rewrite(self) -> None:
        """Drop the names that have lost their addresses: a hostile program asks without end."""
        text = "".join(f"{name}\n" for name in self._names)
        replace_file(self._path, text.encode("ascii"), durable=False)
        fd = _open(self._path)
        os.close(self._fd)
        self._fd, self._size, self._lines = fd, len(text), len(self._names)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _parse_names(lines: list[str]) -> list[str]:
    names: list[str] = []
    for line in lines:
        number, is_reused, name = line.partition(" ")
        if is_reused:
            names[int(number)] = name
        else:
            names.append(line)
    return names


def read_rules(path: Path) -> list[str]:
    """Return the rules that were added to a run, newest first. Raises `OSError`, also for damage."""
    return _read(path) or []


def _read(path: Path) -> Any:
    """Return what a file of JSON has; `None` where there is no file. Raises as above."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as exc:
        raise OSError(errno.EILSEQ, "damaged", str(path)) from exc


def write_rules(path: Path, rules: list[str]) -> None:
    """Replace the rules that were added to a run, all or none. When it returns, they are on disk.

    Raises `OSError`.
    """
    replace_file(path, json.dumps(rules).encode(), durable=True)


class PersistentLimits:
    """The limits of a run that were changed while it ran, by their names; `None`: there is none."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError`."""
        self._path = path
        self.amounts: dict[str, float | None] = _read(path) or {}

    def change(self, amounts: dict[str, float | None]) -> None:
        """Change some. When it returns, they are on disk. Raises `OSError`; then nothing has changed."""
        changed = self.amounts | amounts
        replace_file(self._path, json.dumps(changed).encode(), durable=True)
        self.amounts = changed
