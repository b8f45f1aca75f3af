"""Telling the user what a run had left in the workspace for git to obey."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from moat.paths import RunFolder

# The rest is in a file.
MOST_WARNINGS: Final = 10


def tell_disarmed(folder: RunFolder) -> None:
    """Of a run that has ended, on stderr; nothing where there was nothing."""
    try:
        lines = folder.disarmed.read_text().splitlines()
    except FileNotFoundError:
        return
    for line in lines[:MOST_WARNINGS]:
        sys.stderr.write(f"moat: after the run: {line}\n")
    if len(lines) > MOST_WARNINGS:
        sys.stderr.write(f"moat: and {len(lines) - MOST_WARNINGS} more: see {folder.disarmed}\n")
