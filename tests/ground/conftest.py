"""Places whose names say who may write them."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the user's own, with the links on the way to it resolved."""
    return Path(tmp_path.resolve())
