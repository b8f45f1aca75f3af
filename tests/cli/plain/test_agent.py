"""What an agent can't be told is an error, and not left out in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.cli.main import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("agent", "option", "error"),
    [
        ("pi", "--ask", "Pi can't be told to ask before it acts"),
        ("goose", "--continue", "Goose can't be told to go on with its newest session"),
        ("aider", "--resume=abc", "Aider can't be told to resume a session by its name"),
    ],
)
def test_what_an_agent_can_not_be_told(
    agent: str,
    option: str,
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody should take an agent that acts for one that asks."""
    (tmp_path / agent).write_text("#!/bin/sh\n")
    (tmp_path / agent).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    assert run([agent, option, "-p", "x"]) == 2
    assert error in capsys.readouterr().err
    assert not (tmp_path / "home" / "runs").exists()
