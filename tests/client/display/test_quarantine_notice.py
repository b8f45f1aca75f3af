"""What the user is told of the clean-up after a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.client.display.quarantine_notice import MAX_LINES, show_quarantine_notice
from moat.paths import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_clean_up_that_failed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was noted at the start is there until the workspace is clean."""
    run = RunFolder(tmp_path)
    show_quarantine_notice(run)
    assert capsys.readouterr().err == ""
    run.workspace_snapshot.touch()
    show_quarantine_notice(run)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "moat: after the run: the workspace was not cleaned up: don't use git in it yet",
        f"      See why: {run.supervisor_log}",
    ]


def test_few_lines_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rest is in the report, and the command that shows it is named."""
    run = RunFolder(tmp_path)
    run.quarantine_report.write_text("x\n" * (MAX_LINES + 2))
    run.trust_report.touch()
    show_quarantine_notice(run)
    said = capsys.readouterr().err.splitlines()
    assert said[-2:] == [
        "moat: and 2 more",
        f"moat: with reasons: moat diff {run.id} --trust",
    ]
    assert len(said) == MAX_LINES + 2
