"""The same thing many times: nothing is lost, and nothing adds up."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import TIMEOUT_S

CYCLES = int(os.environ.get("MOAT_TEST_REPEAT", "50"))


@pytest.mark.timeout(60 + 10 * CYCLES)
def test_detach_and_attach_again(moat: Any) -> None:
    """Case 27: numbered lines have no gap and no repeat, and no descriptor leaks."""
    script = "i=0; while ! [ -e stop ]; do i=$((i+1)); echo $i; sleep 0.001; done"
    moat.ok("run", "-d", "-n", "x", "--", "sh", "-c", script)
    supervisor = moat.supervisor("x")
    descriptors = Path(f"/proc/{supervisor}/fd")
    before = 0
    for cycle in range(CYCLES):
        with moat.start("attach", "x") as viewer:
            assert viewer.stdout.readline()
            moat.ok("detach", "x")
            viewer.communicate(timeout=TIMEOUT_S)
        assert viewer.returncode == 0
        if cycle == 0:
            before = len(list(descriptors.iterdir()))
    assert moat.supervisor("x") == supervisor
    deadline = time.monotonic() + TIMEOUT_S
    while len(list(descriptors.iterdir())) > before + 3:  # some are about to be closed
        assert time.monotonic() < deadline
    (moat.workspace / "stop").touch()
    moat.ok("wait", "x")
    lines = moat.ok("logs", "x").splitlines()
    assert lines == [str(n) for n in range(int(lines[0]), int(lines[0]) + len(lines))]
