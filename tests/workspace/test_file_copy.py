"""One file's content put into another, in each of the ways that a file system may know."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from moat.workspace.file_copy import FileCopier

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = bytes(range(256)) * 1000


def copied(folder: Path, content: bytes, size: int | None = None) -> tuple[bytes, FileCopier]:
    copier = FileCopier()
    (folder / "source").write_bytes(content)
    with (folder / "source").open("rb") as source, (folder / "target").open("w+b") as target:
        copier.copy(source.fileno(), target.fileno(), len(content) if size is None else size)
    return (folder / "target").read_bytes(), copier


def refusing(number: int) -> object:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_the_content_is_copied(tmp_path: Path, content: bytes) -> None:
    """By whatever the file system of the tests can do."""
    assert copied(tmp_path, content)[0] == content


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL])
def test_there_is_a_way_without_the_kernels_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A file system without shared contents, between two of them, or without any of it."""
    monkeypatch.setattr(fcntl, "ioctl", refusing(number))
    found, copier = copied(tmp_path, CONTENT)
    assert (found, copier.shared) == (CONTENT, 0)
    monkeypatch.setattr(os, "copy_file_range", refusing(number))
    assert copied(tmp_path, CONTENT)[0] == CONTENT


def test_contents_are_shared_where_they_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing is copied, and it is counted."""

    def share(target: int, request: int, source: int) -> int:
        assert request == 0x40049409
        os.pwrite(target, os.pread(source, len(CONTENT), 0), 0)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", share)
    monkeypatch.setattr(os, "copy_file_range", refusing(errno.EIO))
    found, copier = copied(tmp_path, CONTENT)
    assert (found, copier.shared) == (CONTENT, 1)


def test_another_failure_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk isn't tried again in another way."""
    monkeypatch.setattr(fcntl, "ioctl", refusing(errno.ENOSPC))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        copied(tmp_path, CONTENT)


def test_no_more_is_copied_than_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that grows meanwhile keeps nobody at work, and one that shrinks ends in zeros."""
    monkeypatch.setattr(fcntl, "ioctl", refusing(errno.EOPNOTSUPP))
    assert copied(tmp_path, CONTENT, 1000)[0] == CONTENT[:1000]
    assert copied(tmp_path, b"xy", 5)[0] == b"xy\0\0\0"
