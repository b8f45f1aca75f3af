"""`moat init` at a terminal, in a hostile repository, and what runs then get."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Moat, Terminal

QUESTION = rb"\[e\]dit: "
DEVCONTAINER = """
{ // of everybody
  "forwardPorts": [3000],
  "containerEnv": {"MODE": "development", "LD_PRELOAD": "/workspace/evil.so"},
  "postCreateCommand": "touch /workspace/created",
}
"""

HOSTILE = """
import os
bomb = "a0: &a0 [" + "x," * 9 + "]\\n"
for i in range(1, 9):
    bomb += f"a{i}: &a{i} [" + f"*a{i - 1}," * 9 + "]\\n"
os.makedirs(".github/workflows")
steps = "    - with: {go-version: 1}\\n" * 3000
for name, text in {
    "compose.yaml": bomb + "services: *a8\\n",
    "package.json": "[" * 100000,
    ".tool-versions": "ruby \\x1b]52;c;aGk=\\x07\\nnode 22\\u202e\\n",
    ".env.example": "A=\\n" * 30000,
    ".github/workflows/a.yml": "jobs:\\n  a:\\n    steps:\\n" + steps,
}.items():
    open(name, "w").write(text)
for i in range(3000):
    os.makedirs(f"d{i}/e/f/g")
"""


@pytest.fixture
def project(moat: Moat) -> Path:
    folder = moat.workspace / ".devcontainer"
    folder.mkdir()
    (folder / "devcontainer.json").write_text(DEVCONTAINER)
    return moat.workspace


def test_accepted_at_a_terminal(
    moat: Moat, terminal: Callable[..., Terminal], project: Path
) -> None:
    """The difference is shown first; what was written holds in runs once it is agreed to."""
    window = terminal("init", size=(120, 50), cwd=project)
    window.expect(QUESTION)
    assert "+  MODE: development  # .devcontainer/devcontainer.json" in window.screen.text()
    window.send(b"y\r")
    assert window.wait() == 0
    assert "2 things that you have not agreed to" in window.screen.text()
    assert moat("run", "--", "true", cwd=project).returncode == 3
    moat.ok("trust", cwd=project)
    assert moat.ok(
        "run", "--", "sh", "-c", "echo $MODE $LD_PRELOAD $MOAT_URL_WEB", cwd=project
    ).startswith("development http://")
    assert not (project / "created").exists()
    moat.ok("router", "stop")


@pytest.mark.parametrize("keys", [b"n\r", b"\x04"], ids=["no", "end"])
def test_refused_at_a_terminal(
    terminal: Callable[..., Terminal], project: Path, keys: bytes
) -> None:
    """Nothing is written."""
    window = terminal("init", size=(120, 50), cwd=project)
    window.expect(QUESTION)
    window.send(keys)
    assert window.wait() == 0
    assert not (project / "agent.yaml").exists()


def test_edited_at_a_terminal(moat: Moat, terminal: Callable[..., Terminal], project: Path) -> None:
    """What the editor leaves is shown, checked, and asked about; a mistake isn't written."""
    moat.environment["EDITOR"] = "/usr/bin/sed -i -e s/MODE/KIND/ -e s/^ports/prots/"
    window = terminal("init", size=(120, 50), cwd=project)
    window.expect(QUESTION)
    window.send(b"e\r")
    window.expect(rb"Did you mean 'ports'")
    window.expect(QUESTION)
    window.send(b"y\r")
    window.expect(QUESTION)
    assert not (project / "agent.yaml").exists()
    window.send(b"n\r")
    assert window.wait() == 0
    moat.environment["EDITOR"] = "/usr/bin/sed -i s/MODE/KIND/"
    window = terminal("init", size=(120, 50), cwd=project)
    window.expect(QUESTION)
    window.send(b"e\r")
    window.expect(rb"KIND: development")
    window.expect(QUESTION)
    window.send(b"y\r")
    assert window.wait() == 0
    assert "KIND: development" in (project / "agent.yaml").read_text()


def test_no_editor_of_the_project_is_started(
    moat: Moat, terminal: Callable[..., Terminal], project: Path
) -> None:
    """PATH leads into the project, where a run has put a program of the editor's name."""
    (project / "nano").write_text("#!/bin/sh\ntouch started\n")
    (project / "nano").chmod(0o777)
    moat.environment |= {
        "PATH": f"{project}:{moat.environment['PATH']}",
        "EDITOR": f"{project}/nano",
    }
    window = terminal("init", size=(160, 50), cwd=project)
    window.expect(QUESTION)
    window.send(b"e\r")
    window.expect(rb"can be written by others")
    window.send(b"n\r")
    assert window.wait() == 0
    assert not (project / "started").exists()


def test_a_hostile_repository(moat: Moat, tmp_path: Path) -> None:
    """A run fills its workspace with what a reader could stumble over; the answer is short."""
    secret = tmp_path / "secret"
    secret.write_text("v1-of-a-secret\n")
    script = f"""
    ln -s {secret} .nvmrc; ln -s / outside; mkfifo go.mod; mkdir Cargo.toml
    truncate -s 1T package-lock.json; truncate -s 120K .npmrc
    exec python3 -c '{HOSTILE}'
    """
    moat.ok("run", "--", "sh", "-ec", script)
    done = moat("init", "--yes")
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "secret\n" not in said
    assert not {"\x1b", "\u202e"} & set(said)
    assert len(said) < 5_000
    assert "of-a-secret" not in (moat.workspace / "agent.yaml").read_text()
    moat.ok("config", "check")
