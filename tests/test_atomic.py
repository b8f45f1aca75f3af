"""Files that are replaced as a whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from tests.full_disk import files_of_at_most

from moat.atomic import replace_file

EITHER_WAY = pytest.mark.parametrize("durable", [True, False])


@EITHER_WAY
def test_the_new_content_takes_the_place_of_the_old(tmp_path: Path, durable: bool) -> None:
    """Only the owner can read it, whoever could read the old one, and nothing is left beside it."""
    path = tmp_path / "rules.json"
    path.write_text("old")
    path.chmod(0o644)
    replace_file(path, b"new", durable=durable)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@EITHER_WAY
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, durable: bool) -> None:
    """A full disk is such a failure."""
    path = tmp_path / "rules.json"
    path.write_text("old")
    with files_of_at_most(4), pytest.raises(OSError):
        replace_file(path, b"something longer", durable=durable)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    """The new file doesn't stay beside it."""
    path = tmp_path / "rules.json"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(path, b"new", durable=False)
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_no_obstacle(tmp_path: Path) -> None:
    """A half file is removed, and a link that lies there is not followed."""
    path, elsewhere = tmp_path / "rules.json", tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (tmp_path / "rules.json.new").symlink_to(elsewhere)
    replace_file(path, b"new", durable=False)
    assert path.read_bytes() == b"new"
    assert elsewhere.read_text() == "untouched"
    assert not (tmp_path / "rules.json.new").is_symlink()


def test_a_durable_file_is_on_the_disk_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content is synced before the file takes its place, the folder after."""
    path = tmp_path / "rules.json"
    synced: list[tuple[str, bool]] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append((str(Path(f"/proc/self/fd/{fd}").readlink()), path.exists()))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    replace_file(path, b"new", durable=True)
    assert synced == [(f"{path}.new", False), (str(tmp_path), True)]
