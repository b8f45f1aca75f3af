"""The same thing many times: nothing is lost, and nothing adds up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

CYCLES = int(os.environ.get("MOAT_TEST_REPEAT", "50"))


@pytest.mark.timeout(60 + 2 * CYCLES)
def test_detach_and_attach_again(moat: Any) -> None:
    """Case 27: numbered lines have no gap and no repeat, and no descriptor leaks."""
    script = "i=0; while ! [ -e stop ]; do i=$((i+1)); echo $i; sleep 0.001; done"
    moat.ok("run", "-d", "-n", "x", "--", "sh", "-c", script)
    supervisor = moat.supervisor("x")
    descriptors = Path(f"/proc/{supervisor}/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(CYCLES):
        with moat.start("attach", "x") as viewer:
            assert viewer.stdout.readline()
            moat.ok("detach", "x")
            viewer.communicate(timeout=20)
        assert viewer.returncode == 0
    assert moat.supervisor("x") == supervisor
    assert len(list(descriptors.iterdir())) <= before + 3
    (moat.workspace / "stop").touch()
    moat.ok("wait", "x")
    lines = moat.ok("logs", "x").splitlines()
    assert lines == [str(n) for n in range(int(lines[0]), int(lines[0]) + len(lines))]
