"""A zip file of a stranger's, in which nothing is believed: no name, no size, no order.

Its directory is read only if it is small, its members only if they have names and sizes that an exported
run has, and of each no more bytes than it claims to have. Nothing is extracted by its name.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from moat.archive.members import MOST_BYTES, MOST_MEMBERS, largest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

_END: Final = struct.Struct("<4s4H2LH")
_END_MAGIC: Final = b"PK\x05\x06"
_ZIP64: Final = b"PK\x06\x07"
_ZIP64_SIZE: Final = 20
_MOST_DIRECTORY: Final = 8 << 20
_PIECE: Final = 1 << 20
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED: Final = 1
# Whatever the module raises over bytes that are no zip file.
_DAMAGE: Final = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError),
    *(NotImplementedError, RuntimeError, ValueError),
)


class ZipReader:
    """The members of a zip file, by name. A context manager that closes it. Raises `ValueError`."""

    def __init__(self, path: Path) -> None:
        """Open a file. Raises `OSError`, too."""
        # O_NONBLOCK: a named pipe would be waited for.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._file: BinaryIO = os.fdopen(fd, "rb")
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ValueError("it is no file")
            _check_end(self._file)
            with _damage():
                self._zip = zipfile.ZipFile(self._file)
            self._members = _checked(self._zip.infolist())
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def names(self) -> list[str]:
        return sorted(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def size(self, name: str) -> int:
        return self._members[name].file_size

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield a member piece by piece, all of it or else an error at the end."""
        if name not in self._members:
            raise ValueError(f"it has no {name}")
        member = self._members[name]
        left = member.file_size
        with _damage(), self._zip.open(member) as file:
            while piece := file.read(_PIECE):
                left -= len(piece)
                yield piece
        if left:
            raise ValueError(f"{name} is shorter than it claims")

    def read(self, name: str) -> bytes:
        return b"".join(self.pieces(name))

    def lines(self, name: str, longest: int) -> Iterator[bytes]:
        """Yield the lines of a member, with their newlines."""
        rest = b""
        for piece in self.pieces(name):
            *whole, rest = (rest + piece).split(b"\n")
            if len(rest) > longest or any(len(each) >= longest for each in whole):
                raise ValueError(f"{name} has a line that is too long")
            yield from (each + b"\n" for each in whole)
        if rest:
            raise ValueError(f"{name} ends in the middle of a line")


@contextmanager
def _damage() -> Generator[None]:
    try:
        yield
    except _DAMAGE as exc:
        raise ValueError(f"it is damaged: {exc}") from exc


def _check_end(file: BinaryIO) -> None:
    """Check the record at the end, before anybody reads a directory that may be of any size."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _END.size - _ZIP64_SIZE)
    file.seek(start)
    tail = file.read()
    if len(tail) < _END.size:
        raise ValueError("it is no zip file")
    magic, *_, count, directory, _, comment = _END.unpack(tail[-_END.size :])
    if magic != _END_MAGIC or comment:
        raise ValueError("it is no zip file, or not one that moat export has written")
    if _ZIP64 in tail[: -_END.size] or count > MOST_MEMBERS or directory > _MOST_DIRECTORY:
        raise ValueError("it has more members than a run")


def _checked(found: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for each in found:
        name = each.orig_filename
        limit = largest(name)
        kind = stat.S_IFMT(each.external_attr >> 16)
        if limit is None or kind not in {0, stat.S_IFREG}:
            raise ValueError(f"no run has a member {name[:80]!r}")
        if name in members:
            raise ValueError(f"it has two members {name}")
        if each.flag_bits & _ENCRYPTED or each.compress_type not in _METHODS:
            raise ValueError(f"{name} is encrypted or packed in a way that moat export doesn't use")
        if each.file_size > limit:
            raise ValueError(f"{name} is too large: {each.file_size:,} bytes")
        members[name] = each
    total = sum(each.file_size for each in members.values())
    if total > MOST_BYTES:
        raise ValueError(f"it is too large: {total:,} bytes")
    return members
