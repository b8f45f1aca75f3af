"""`moat trust`, and what other commands say about a file that nobody has agreed to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.cli.main import run
from moat.config import agent_file
from moat.runs import consents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Said = Callable[..., tuple[str, str]]

FILE = "env: {A: '1'}\nnetwork: {policy: strict, allow: [a.com]}\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MOAT_RUN", raising=False)
    return tmp_path / "home"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "agent.yaml").write_text(FILE)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def said(home: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Return a function that runs a command and returns what it wrote to stdout and stderr."""

    def say(*arguments: str, code: int = 0) -> tuple[str, str]:
        assert run(list(arguments)) == code
        return capsys.readouterr()

    return say


def test_what_a_file_opens_is_agreed_to(said: Said, home: Path, project: Path) -> None:
    """The answer says exactly what, and the folder is the current one or PATH."""
    out, _ = said("trust")
    assert out.splitlines() == [
        f"agreed to {project}/agent.yaml:",
        "  network.policy: at least ask",
        "  network.policy: at least strict",
        "  env: A=1",
        "  network.allow: a.com",
    ]
    assert len(consents.agreements(home, project)) == 1
    assert said("trust", str(project)) == (out, "")
    assert len(consents.agreements(home, project)) == 1


def test_what_is_new_is_shown_without_agreeing(said: Said, home: Path, project: Path) -> None:
    """A plus is new, and a minus is a restriction that is gone."""
    out, _ = said("trust", "--show")
    assert out.splitlines()[0] == f"{project}/agent.yaml (2 things not agreed to):"
    assert "+ network.allow: a.com" in out.splitlines()
    assert consents.agreements(home, project) == []
    said("trust")
    assert said("trust", "--show")[0].splitlines()[0] == f"{project}/agent.yaml (agreed to):"
    (project / "agent.yaml").write_text("env: {A: '1', B: '2'}\n")
    assert said("trust", "--show")[0].splitlines() == [
        f"{project}/agent.yaml (3 things not agreed to):",
        "  env: A=1",
        "+ env: B=2",
        "- network.policy: at least ask",
        "- network.policy: at least strict",
    ]


def test_what_was_agreed_to_is_listed_and_forgotten(said: Said, project: Path) -> None:
    """A folder that is gone can be forgotten, too."""
    said("trust")
    header, row = said("trust", "--list")[0].splitlines()
    assert header.split() == ["FOLDER", "OPENS", "AGREED"]
    assert row.split()[:2] == [str(project), "2"]
    moved = project.with_name("moved")
    project.rename(moved)
    assert said("trust", "--forget", str(project))[0].startswith("forgotten: ")
    assert "nothing was agreed to" in said("trust", "--forget", str(project), code=2)[1]
    assert len(said("trust", "--list")[0].splitlines()) == 1


@pytest.mark.parametrize("option", [[], ["--show"]])
def test_a_file_that_only_restricts_needs_no_consent(
    said: Said, home: Path, project: Path, option: list[str]
) -> None:
    """Nothing is noted about it."""
    (project / "agent.yaml").write_text("exclude: [.env]\n")
    assert "opens nothing" in said("trust", *option)[0]
    assert consents.agreements(home, project) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--show", "--forget"], "exclude each other"),
        (["/nonexistent"], "there is no agent.yaml in /nonexistent"),
        (["--show", "/"], "there is no agent.yaml in /"),
    ],
)
def test_what_can_not_be_meant_is_refused(
    said: Said, project: Path, arguments: list[str], words: str
) -> None:
    """The error says what to write."""
    assert words in said("trust", *arguments, code=2)[1]


def test_a_run_agrees_to_nothing(
    said: Said, home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no way to the store either; this says so."""
    monkeypatch.setenv("MOAT_RUN", "0123456789ab")
    assert "inside a run" in said("trust", code=2)[1]
    assert not home.exists()


def test_consent_that_would_have_no_effect_is_refused(
    said: Said, home: Path, project: Path
) -> None:
    """The settings let no project open anything."""
    home.mkdir()
    (home / "config.yaml").write_text("trust_project: never\n")
    assert "trust_project: never" in said("trust", code=2)[1]
    assert consents.agreements(home, project) == []


@pytest.mark.parametrize(
    "command",
    [["config", "check"], ["policy", "test", "agent.yaml", "GET", "https://a.com/"]],
    ids=lambda command: command[0],
)
def test_who_reads_the_file_says_what_is_assumed(
    said: Said, project: Path, command: list[str]
) -> None:
    """Nobody is asked: the answer is about the file, and a note says that it doesn't hold yet."""
    out, err = said(*command)
    look = f"moat trust --show {project}"
    assert err == f"moat: it opens 2 things that you have not agreed to: {look}\n"
    said("trust")
    assert said(*command) == (out, "")


def test_nothing_of_a_hostile_file_acts_on_the_terminal(said: Said, project: Path) -> None:
    """Neither its values nor its names, in a list or in an error."""
    (project / "agent.yaml").write_text('env: {"A\\e]0;x\\a": "\\e[2J\\r\\n+ network.allow: b"}\n')
    for option in ([], ["--show"]):
        out, _ = said("trust", *option)
        assert all(line.isprintable() for line in out.splitlines())
        assert len(out.splitlines()) == 2
    (project / "agent.yaml").write_text('env: {"\\e]0;x\\a": [1]}\n')
    _, err = said("trust", code=2)
    assert all(line.isprintable() for line in err.splitlines())
    assert "env.\\x1b]0;x\\x07: a plain value is expected here" in err


def test_a_long_value_is_shown_in_full_on_demand(said: Said, project: Path) -> None:
    """A question cuts it; `--show` is where the rest can be read."""
    (project / "agent.yaml").write_text(f"env: {{A: {'x' * 5000}}}\n")
    assert "x" * 5000 in said("trust", "--show")[0]


def test_where_nobody_is_asked_nothing_is_noted(said: Said, home: Path, project: Path) -> None:
    """The settings trust every project."""
    home.mkdir()
    (home / "config.yaml").write_text("trust_project: always\n")
    assert said("config", "check")[1] == ""
    assert agent_file.project_in(project).openings
