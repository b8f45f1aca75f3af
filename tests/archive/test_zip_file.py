"""Zip files of strangers."""

from __future__ import annotations

import os
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest
from tests.archive.exported import zip_of

from moat.archive import zip_file
from moat.archive.zip_file import ZipReader

if TYPE_CHECKING:
    from pathlib import Path


def test_members_are_read_by_name(tmp_path: Path) -> None:
    """As a whole, in pieces, and by lines."""
    path = zip_of(tmp_path / "x.zip", {"run.json": b"{}", "events.jsonl": b"a\nb\n"})
    with ZipReader(path) as archive:
        assert archive.names == ["events.jsonl", "run.json"]
        assert "run.json" in archive
        assert "spec.json" not in archive
        assert (archive.size("run.json"), archive.read("run.json")) == (2, b"{}")
        assert list(archive.lines("events.jsonl", 10)) == [b"a\n", b"b\n"]
        with pytest.raises(ValueError, match=r"it has no spec\.json"):
            archive.read("spec.json")
        with pytest.raises(ValueError, match="too long"):
            list(archive.lines("events.jsonl", 1))


def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    """Two readers could take either."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("run.json", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("run.json", "2")
    with pytest.raises(ValueError, match="two members"):
        ZipReader(path)


def test_other_packing_is_refused(tmp_path: Path) -> None:
    """Their decompressors know no bound of memory."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("run.json", "1")
    with pytest.raises(ValueError, match="packed in a way"):
        ZipReader(path)


def test_a_directory_without_end_is_not_read(tmp_path: Path) -> None:
    """Neither one that says so, nor one that says it in the record for large files."""
    path = zip_of(tmp_path / "x.zip", {"run.json": b"{}"})
    data = path.read_bytes()
    end = bytearray(data[-22:])
    struct.pack_into("<H", end, 10, 65_535)
    path.write_bytes(data[:-22] + end)
    with pytest.raises(ValueError, match="more members"):
        ZipReader(path)
    path.write_bytes(data[:-22] + b"PK\x06\x07" + bytes(16) + data[-22:])
    with pytest.raises(ValueError, match="more members"):
        ZipReader(path)


def test_sums_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many members of a size that is allowed are too large together."""
    path = zip_of(tmp_path / "x.zip", {"run.json": b"{}", "spec.json": b"{}"})
    monkeypatch.setattr(zip_file, "MOST_BYTES", 3)
    with pytest.raises(ValueError, match="too large: 4 bytes"):
        ZipReader(path)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """Nobody waits for its writer."""
    os.mkfifo(tmp_path / "x.zip")
    with pytest.raises(ValueError, match="no file"):
        ZipReader(tmp_path / "x.zip")
