"""The first thing that a new user runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[2] / "scripts" / "demo.py"


def test_the_demo_keeps_what_it_promises() -> None:
    """`make demo` looks at each of its results itself, and ends with an error where one is wrong."""
    done = subprocess.run([sys.executable, DEMO], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "That was a sealed run." in done.stdout
