"""Folders that tools fill."""

from __future__ import annotations

from moat.workspace.generated import is_generated


def test_folders_that_tools_fill() -> None:
    """By their names, by what tools leave in them, or by the git folder that they lie in."""
    assert is_generated("node_modules", [], [])
    assert is_generated("target", ["CACHEDIR.TAG"], ["Cargo.toml"])
    assert is_generated("venv", ["pyvenv.cfg"], [])
    assert is_generated("objects", [], ["HEAD", "objects", "refs"])


def test_folders_of_the_users() -> None:
    """A marker alone hides nothing: a run could put one anywhere."""
    assert not is_generated("src", ["CACHEDIR.TAG", "pyvenv.cfg"], [])
    assert not is_generated("build", ["make.sh"], [])
    assert not is_generated("objects", [], ["main.py"])
    assert not is_generated("hooks", [], ["HEAD", "objects", "refs"])
