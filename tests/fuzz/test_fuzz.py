"""Parsers under coverage-guided fuzzing, for a short fixed time; longer with MOAT_FUZZ_SECONDS."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.targets import TARGETS, Target

ROOT = Path(__file__).parents[2]
SECONDS = int(os.environ.get("MOAT_FUZZ_SECONDS", "5"))
STARTING_S = 250
"""More than atheris needs to begin and to end on a busy machine."""


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@given(data=st.data())
@settings(max_examples=50)
def test_what_must_hold_holds_near_the_beginnings(target: Target, data: st.DataObject) -> None:
    """Where atheris can't be had, too: some bytes of a good message are replaced or missing."""
    message = data.draw(st.sampled_from(target.beginnings))
    start = data.draw(st.integers(0, len(message)))
    end = data.draw(st.integers(start, min(len(message), start + 8)))
    target.check(message)
    target.check(message[:start] + data.draw(st.binary(max_size=8)) + message[end:])


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this machine"
)
@pytest.mark.timeout(SECONDS + STARTING_S)
@pytest.mark.parametrize("name", TARGETS)
def test_fuzzing_finds_nothing(name: str, tmp_path: Path) -> None:
    """No exception but those that a parser may raise, and no objection of an oracle."""
    options = [f"-max_total_time={SECONDS}", "-timeout=60", "-verbosity=0"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.fuzz", name, str(tmp_path), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    found = [repr(path.read_bytes()) for path in tmp_path.glob("found-*")]
    assert done.returncode == 0, "\n".join((done.stdout[-4000:], done.stderr[-2000:], *found))
