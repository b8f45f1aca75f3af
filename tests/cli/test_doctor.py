"""`moat doctor`: what is missing, what could be better, and its exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moat.cli import doctor
from moat.cli.main import run
from moat.engines.engine import Check

if TYPE_CHECKING:
    from pathlib import Path

FINE = Check("fine", True, "all there")
POOR = Check("poor", True, "by hand", "buy a machine", ("it takes longer",))
MISSING = Check("missing", False, "not installed", "install it")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))


def found(monkeypatch: pytest.MonkeyPatch, *checks: Check) -> None:
    monkeypatch.setattr(doctor, "checks", lambda _: list(checks))


def test_a_warning_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What works and could be better is marked as such, with its remedy, and the exit code stays 0."""
    found(monkeypatch, FINE, POOR)
    assert run(["doctor"]) == 0
    assert capsys.readouterr().out.startswith(
        "ok   fine: all there\nwarn poor: by hand\n      it takes longer\n      buy a machine\n"
    )


def test_what_is_missing_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 1, and the remedy is there."""
    found(monkeypatch, FINE, MISSING)
    assert run(["doctor"]) == 1
    assert "NO   missing: not installed\n      install it\n" in capsys.readouterr().out


@pytest.mark.parametrize(("worst", "code"), [(POOR, 0), (MISSING, 1)])
def test_json_says_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], worst: Check, code: int
) -> None:
    """Scripts get one object with every check, and the exit code of the text."""
    found(monkeypatch, FINE, worst)
    assert run(["doctor", "--json"]) == code
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["ok"] is (code == 0)
    assert said["checks"][1] == {
        "name": worst.name,
        "status": worst.status,
        "detail": worst.detail,
        "warnings": list(worst.warnings),
        "remedy": worst.remedy,
    }
