"""The notice of what a run left in the workspace for programs on the host to obey."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from moat.paths import RunFolder

# `moat diff --trust` has the rest.
MAX_LINES: Final = 10


def show_quarantine_notice(run: RunFolder) -> None:
    """Write on stderr what the clean-up after the run changed; nothing if it changed nothing.

    A clean-up that failed is said: what was noted for it at the start is still there then.
    """
    if run.workspace_snapshot.exists():
        sys.stderr.write(
            "moat: after the run: the workspace was not cleaned up: don't use git in it yet\n"
            f"      See why: {run.supervisor_log}\n"
        )
    try:
        lines = run.quarantine_report.read_text().splitlines()
    except FileNotFoundError:
        return
    for line in lines[:MAX_LINES]:
        sys.stderr.write(f"moat: after the run: {line}\n")
    if len(lines) > MAX_LINES:
        more = len(lines) - MAX_LINES
        sys.stderr.write(f"moat: and {more} more\n")
    if run.trust_report.exists():  # earlier versions of Moat made none
        sys.stderr.write(f"moat: with reasons: moat diff {run.id} --trust\n")
