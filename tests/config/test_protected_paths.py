"""Rows that settings and projects add to the table of protected paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.config import agent_file, settings
from moat.config.compile import HostContext, RunOptions, compile_spec, read_project
from moat.config.fields import schema
from moat.errors import UsageError
from moat.spec import ProtectedPath

if TYPE_CHECKING:
    from pathlib import Path


def test_settings_and_project_add_rows(tmp_path: Path) -> None:
    """The specification has both, each row once, whatever the project is trusted with."""
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    (home / "config.yaml").write_text(
        "trust_project: never\n"
        "protected_paths:\n  - {path: deploy/*.sh, program: ours, treatment: watched}\n"
    )
    (project / "agent.yaml").write_text(
        "protected_paths:\n- path: .toolrc\n"
        "- {path: deploy/*.sh, program: ours, treatment: watched}\n"
    )
    options = RunOptions(path=str(project), command=("true",))
    spec = compile_spec(options, settings.load(home), HostContext(), read_project(options))
    assert spec.protected_paths == (
        ProtectedPath("deploy/*.sh", "ours", "watched"),
        ProtectedPath(".toolrc"),
    )


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("path: /etc/x", "must be relative"),
        ("path: ~/x", "must be relative"),
        ("path: a/../b", "without . and .."),
        ("path: a//b", "one slash"),
        ("path: ''", "must be names"),
        ("path: '**/x'", "isn't needed"),
        ("path: '*'", "every name"),
        ("path: '*/x'", "every name"),
        ("path: 'a*b*c*d*e*f'", "4 stars"),
        (r'path: "a\nb"', "control character"),
        ("program: x", "needs a path"),
        ("{path: x, treatment: hidden}", "must be one of read-only, watched"),
        ("x", "a map of fields"),
        ("{path: x, how: y}", "unknown field"),
    ],
)
def test_a_bad_row_is_reported_with_its_place(tmp_path: Path, row: str, problem: str) -> None:
    """The error names the file, the line and what is wrong."""
    (tmp_path / "config.yaml").write_text(f"protected_paths:\n  - path: fine\n  - {row}\n")
    with pytest.raises(UsageError, match=r"config\.yaml:3: ") as raised:
        settings.load(tmp_path)
    assert problem in raised.value.summary


def test_rows_are_a_list_and_bounded(tmp_path: Path) -> None:
    """Every folder is searched for each of them, and a run may have written the project's file."""
    file = tmp_path / "agent.yaml"
    file.write_text("protected_paths: {path: x}\n")
    with pytest.raises(UsageError, match="must be a list of maps"):
        agent_file.load(file)
    file.write_text("protected_paths:\n" + "".join(f"- path: x{i}\n" for i in range(101)))
    with pytest.raises(UsageError, match="101 rows are too many: 100 at most"):
        agent_file.load(file)


def test_editors_know_the_fields_of_a_row() -> None:
    """The JSON schema has a list of objects."""
    made = schema("agent.yaml", agent_file.FIELDS)["properties"]["protected_paths"]
    assert made["type"] == "array"
    assert made["items"]["properties"].keys() == {"path", "program", "treatment"}
