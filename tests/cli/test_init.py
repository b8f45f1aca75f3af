"""`moat init`: its options and errors, and what it writes where nobody is asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from moat.cli import proposed_file
from moat.cli.main import run
from moat.config import agent_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Said = Callable[..., tuple[str, str]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Dockerfile").write_text("EXPOSE 8000\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def said(project: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    def say(*arguments: str, code: int = 0) -> tuple[str, str]:
        assert run(["init", *arguments]) == code
        return capsys.readouterr()

    return say


def test_printed_and_not_written(said: Said, project: Path) -> None:
    """The file as it would be is all that stdout gets."""
    out, err = said("--print")
    assert "ports:\n  web: 8000  # Dockerfile\n" in out
    assert err == ""
    assert os.listdir(project) == ["Dockerfile"]  # noqa: PTH208


def test_written_and_kept(said: Said, project: Path) -> None:
    """The difference is shown, and what the file opens isn't agreed to; a second time adds nothing."""
    out, err = said("--yes")
    assert out.startswith("--- /dev/null\n+++ agent.yaml\n@@ ")
    assert "it opens 1 thing that you have not agreed to" in err
    file = project / "agent.yaml"
    assert agent_file.load(file).content == {"ports": {"web": "8000"}}
    text = file.read_text()
    out, err = said("--yes")
    assert (out, file.read_text()) == ("", text)
    assert "has all that was found" in err


def test_a_file_that_is_there(said: Said, project: Path) -> None:
    """Its lines, its name and its mode stay."""
    file = project / "moat.yaml"
    file.write_text("name: x  # ours\n")
    file.chmod(0o640)
    out, _ = said("-y")
    assert "\n+ports:\n+  web: 8000  # Dockerfile\n" in out
    assert file.read_text() == "name: x  # ours\nports:\n  web: 8000  # Dockerfile\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(project)) == ["Dockerfile", "moat.yaml"]  # noqa: PTH208


def test_dependencies_where_runs_have_images(said: Said, project: Path) -> None:
    """By the option, or because the file has some already."""
    (project / "Cargo.toml").touch()
    assert "\n# - runs have this machine's programs" in said("--print")[0]
    assert "dependencies:\n  - rust  # Cargo.toml\n" in said("--print", "--dependencies")[0]
    (project / "agent.yaml").write_text("dependencies: [git]\n")
    assert "dependencies: [git, rust]\n" in said("--print")[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{name: x}\n", "Add by hand what you want of this: ports: web: 8000"),
        ("name: x\n...\n", "Add by hand what you want of this: ports: web: 8000"),
        ("nmae: x\n", "agent.yaml:1: unknown field 'nmae'"),
        ("name: x\nname: y\n", "agent.yaml:2: 'name' is given twice"),
    ],
)
def test_a_file_that_takes_nothing(said: Said, project: Path, text: str, words: str) -> None:
    """It stays as it is, and the error says what to do."""
    (project / "agent.yaml").write_text(text)
    assert words in said("--yes", code=2)[1]
    assert (project / "agent.yaml").read_text() == text


def test_what_can_not_be_done(said: Said, project: Path) -> None:
    """No terminal, two options, no folder, a link, and bytes that are no text."""
    assert "there is no terminal" in said(code=2)[1]
    assert "exclude each other" in said("--yes", "--print", code=2)[1]
    assert "can't be read" in said("--print", "nowhere", code=2)[1]
    (project / "agent.yaml").symlink_to("/etc/passwd")
    assert "is a symbolic link" in said("--print", code=2)[1]
    (project / "agent.yaml").unlink()
    (project / "agent.yaml").write_bytes("name: x".encode("utf-16"))
    assert "is not UTF-8" in said("--print", code=2)[1]


def test_many_files_that_are_not_read(said: Said, project: Path) -> None:
    """Ten are named, and the others counted."""
    for number in range(15):
        (project / f"requirements{number:02}.txt").symlink_to("Dockerfile")
    lines = said("--print")[1].splitlines()
    assert len(lines) == 11
    assert lines[-1] == "moat: and 5 more were passed over"


def test_a_folder_that_has_nothing(said: Said, project: Path) -> None:
    """Nothing is written where nothing was found."""
    (project / "Dockerfile").unlink()
    assert "nothing was found" in said("--yes")[1]
    assert os.listdir(project) == []  # noqa: PTH208


def test_a_file_that_changes_meanwhile(
    said: Said, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody else has written is not replaced."""
    other = "name: other\n"
    show = proposed_file._show

    def write(*arguments: object) -> None:
        show(*arguments)  # type: ignore[arg-type]
        (project / "agent.yaml").write_text(other)

    monkeypatch.setattr(proposed_file, "_show", write)
    assert "has changed meanwhile" in said("--yes", code=2)[1]
    assert (project / "agent.yaml").read_text() == other
