"""Files that may be anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from moat.config.files import read_bounded
from moat.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    """A larger file is refused and not read."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 2048)
    assert read_bounded(path, 2048) == b"x" * 2048
    with pytest.raises(UsageError, match="larger than 1 KiB"):
        read_bounded(path, 2047)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Pipes, folders, endless devices and missing files are errors at once."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name in ("pipe", "zeros", "."):
        with pytest.raises(UsageError, match="is not a file"):
            read_bounded(tmp_path / name, 9)
    with pytest.raises(UsageError, match="can't be read: No such file"):
        read_bounded(tmp_path / "none", 9)
