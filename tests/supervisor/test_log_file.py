"""The supervisor's log stays within its bound, whatever makes it grow."""

from __future__ import annotations

import stat
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import logging, sys
from pathlib import Path
from moat.supervisor.log_file import BoundedLog
logging.basicConfig(level=logging.INFO, handlers=[BoundedLog(Path(sys.argv[1]), 10_000)])
for number in range(5_000):
    logging.info("line %d", number)
print("the end", file=sys.stderr)
"""


def test_the_newest_lines_are_kept(tmp_path: Path) -> None:
    """The log and its older half hold the newest lines, and further output follows them."""
    path = tmp_path / "supervisor.log"
    with path.open("wb") as log:
        subprocess.run([sys.executable, "-c", PROGRAM, path], stdout=log, stderr=log, check=True)
    older = tmp_path / "supervisor.log.older"
    assert {each.name for each in tmp_path.iterdir()} == {path.name, older.name}
    lines = (older.read_text() + path.read_text()).splitlines()
    first = int(lines[0].split()[-1])
    assert lines == [*(f"INFO:root:line {n}" for n in range(first, 5_000)), "the end"]
    assert max(older.stat().st_size, path.stat().st_size) < 10_100
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
