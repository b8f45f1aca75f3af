"""Bubblewrap's arguments for mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.engines.bubblewrap.mounts import Mounts
from moat.workspace.beneath import open_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("descriptors")
def test_descriptors_are_numbered_above_the_shims(tmp_path: Path) -> None:
    """They keep their numbers through two processes that have descriptors of their own."""
    mounts = Mounts(tmp_path / "private")
    with open_folder(tmp_path) as root:
        mounts.bind_handle(root, "/here", writable=True)
    assert mounts.arguments == ["--bind-fd", str(mounts.descriptors[0]), "/here"]
    assert mounts.descriptors[0] >= 32
    mounts.close()
