"""The guide of a run's agent follows the policy."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from moat.egress.persistence import write_rules
from moat.events import Peer, PolicyAmended, QuestionAsked
from moat.paths import RunFolder, agent_files
from moat.spec import AgentSetup, RunId, RunSpec
from moat.supervisor.agent_guide import AgentGuide

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

AMENDED = PolicyAmended("allow", "new.example", 0, Peer(0, 1))


def spec(agent: AgentSetup | None) -> RunSpec:
    return RunSpec(
        id=RunId("0123456789ab"),
        name="one",
        command=("own",),
        workspace="/srv/app",
        created_at="2026-11-23T08:09:10.123Z",
        agent=agent,
    )


def test_it_is_written_anew_with_each_rule(tmp_path: Path) -> None:
    """Rules that were given while an earlier supervisor lived are in it, too."""
    folder = RunFolder(tmp_path)
    folder.private.mkdir()
    guide = AgentGuide(spec(AgentSetup(name="own")), folder)
    guide.write()
    file = agent_files(folder.private) / "guide.md"
    assert "new.example" not in file.read_text()
    write_rules(folder.additions, ["allow new.example"])
    guide(0.0, QuestionAsked("other.example", 443))
    assert "new.example" not in file.read_text()
    guide(0.0, AMENDED)
    assert "- `allow new.example`" in file.read_text()


def test_a_run_without_an_agent_has_none(tmp_path: Path) -> None:
    """Nothing is made."""
    AgentGuide(spec(None), RunFolder(tmp_path)).write()
    assert list(tmp_path.iterdir()) == []


def test_a_rule_holds_whether_or_not_the_guide_can_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the reason."""
    (tmp_path / "private").write_text("in the way")
    with caplog.at_level(logging.ERROR):
        AgentGuide(spec(AgentSetup(name="own")), RunFolder(tmp_path))(0.0, AMENDED)
    assert "guide was not written" in caplog.text
