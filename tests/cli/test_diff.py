"""`moat diff --trust`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from moat.cli.main import run as moat
from moat.config.compile import HostContext, RunOptions
from moat.config.creation import create_run
from moat.config.settings import Settings
from moat.errors import EXIT_FAILURE
from moat.runs.store import Store
from moat.workspace.findings import Finding, Report

if TYPE_CHECKING:
    from pathlib import Path

    from moat.paths import RunFolder

REPORT = Report(
    [
        Finding("/a", ".envrc", "left", "", "direnv", "is run by a shell"),
        Finding("/a", "x\x1b\udcff", "quarantined", "renamed to y", "git", "names programs"),
        Finding("/a", "b", "unchecked", "can't be read"),
    ],
    3,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """The folder of a run called x."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "store"))
    (tmp_path / "project").mkdir()
    with Store() as store:
        options = RunOptions(path=str(tmp_path / "project"), command=("true",), name="x")
        return store.folder(create_run(store, options, Settings(), HostContext()).id)


def test_findings_are_shown_with_their_reasons(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was done comes first; names that the run chose can't steer the terminal."""
    folder.trust_report.write_text(REPORT.dumps())
    assert moat(["diff", "x", "--trust"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Put aside or disarmed:",
        "  /a/x??  renamed to y  [git: it names programs]",
        "New or changed, and left as it is:",
        "  /a/.envrc  [direnv: it is run by a shell]",
        "Not checked:",
        "  /a/b  can't be read",
        "And 3 more, which were not kept.",
    ]


def test_programs_get_the_findings_as_json(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names are as they are, whatever bytes they have."""
    folder.trust_report.write_text(REPORT.dumps())
    assert moat(["diff", "x", "--trust", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["findings"][1]["path"] == "x\x1b\udcff"
    assert shown["more"] == 3


def test_without_findings_nothing_is_shown(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Most runs leave nothing of the kind."""
    assert not folder.trust_report.exists()
    assert moat(["diff", "x", "--trust"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "problem"),
    [("workspace_snapshot", "has not ended"), ("trust_report", "can't be read")],
)
def test_a_report_that_is_not_there_yet_or_not_ours(
    folder: RunFolder, capsys: pytest.CaptureFixture[str], name: str, problem: str
) -> None:
    """The error says which, and what to do."""
    getattr(folder, name).write_text("[]")
    assert moat(["diff", "x", "--trust"]) == EXIT_FAILURE
    assert problem in capsys.readouterr().err
