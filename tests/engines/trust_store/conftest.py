"""A sandbox that trusts an authority of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.engines.trust_store.authorities import make_authority, make_leaf

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sandbox import Sandbox


@pytest.fixture
def trusting(sandbox: Sandbox, tmp_path: Path) -> Sandbox:
    """A sandbox with an authority, and in its workspace `leaf.pem`, which that has signed."""
    sandbox.authority = make_authority(tmp_path / "authority")
    (sandbox.workspace / "leaf.pem").write_bytes(make_leaf(tmp_path / "authority"))
    return sandbox
