"""The host's programs, and those that merely have their names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from moat.ground import programs
from moat.ground.programs import ignored_on_path, search

if TYPE_CHECKING:
    from pathlib import Path


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


@pytest.fixture
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are looked for."""
    monkeypatch.setattr(programs, "PLACES", (str(folder / "system"),))
    return folder / "system"


def test_path_is_not_asked(place: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that comes first on PATH isn't found, and neither is one that only PATH leads to."""
    planted = program(folder / "project" / ".venv" / "bin" / "bwrap")
    monkeypatch.setenv("PATH", str(planted.parent))
    assert search("bwrap").path is None
    own = program(place / "bwrap")
    assert search("bwrap").path == str(own)


def test_links_are_resolved(place: Path, folder: Path) -> None:
    """What is started is the file itself, as it was looked at."""
    real = program(folder / "store" / "bwrap")
    place.mkdir()
    (place / "bwrap").symlink_to(real)
    assert search("bwrap").path == str(real)


def test_what_others_could_change_is_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next place is looked at, and the reason is kept for `moat doctor`."""
    bad, good = program(folder / "a" / "bwrap", 0o777), program(folder / "b" / "bwrap")
    monkeypatch.setattr(programs, "PLACES", (str(bad.parent), str(good.parent)))
    found = search("bwrap")
    assert found.path == str(good)
    assert found.passed_over == (f"{bad}: {bad} can be written by others (mode 777)",)


@pytest.mark.parametrize(("make", "reason"), [("mkdir", "not a file"), ("touch", "not a program")])
def test_what_is_no_program_is_passed_over(place: Path, make: str, reason: str) -> None:
    """A folder of that name, or a file without the right to be started."""
    place.mkdir()
    getattr(place / "bwrap", make)(0o644 if make == "touch" else 0o755)
    found = search("bwrap")
    assert found.path is None
    assert reason in found.passed_over[0]


def test_the_users_choice_is_the_only_one(place: Path, folder: Path) -> None:
    """It is looked at as closely; where it can't be used, nothing else takes its place."""
    program(place / "bwrap")
    chosen = program(folder / "mine" / "bwrap")
    assert search("bwrap", str(chosen)).path == str(chosen)
    chosen.chmod(0o757)
    assert search("bwrap", str(chosen)).path is None
    assert search("bwrap", str(folder / "missing")) == programs.Search(None)


def test_what_path_leads_to_is_known(
    place: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative folders and the working directory too, but not the places themselves."""
    program(place / "bwrap")
    other = program(folder / "other" / "bwrap")
    monkeypatch.chdir(other.parent)
    path = os.pathsep.join((str(place), str(other.parent), "", "../other", str(folder)))
    assert list(ignored_on_path("bwrap", path)) == [str(other), "./bwrap", "../other/bwrap"]
