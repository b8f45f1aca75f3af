"""Processes of the shim's that enter a sandbox."""

from __future__ import annotations

import subprocess
import sys

import pytest

BOUND = """
import os
from moat.shim.launch import enter
child = os.posix_spawn("/bin/true", ["true"], {})
ended = os.pidfd_open(child)
os.waitpid(child, 0)
nothing, _ = os.pipe()
enter.bound(PROCESS, 4096, 256)
os.wait()
"""


@pytest.mark.parametrize(("process", "said"), [("ended", ""), ("nothing", "setns: Invalid")])
def test_a_sandbox_that_is_over_is_not_bounded(process: str, said: str) -> None:
    """A command may end before its sandbox was bounded, which is no fault; another failure is one."""
    done = subprocess.run(
        [sys.executable, "-c", BOUND.replace("PROCESS", process)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said in done.stderr
    assert bool(done.stderr) == bool(said)
