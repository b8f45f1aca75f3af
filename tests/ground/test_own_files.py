"""Moat's own files that another environment has, too."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from moat.errors import UsageError
from moat.ground import own_files
from moat.ground.own_files import separate_own_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def packages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packages of an environment that uv has made: linked with those of a project."""
    site, project = folder / "moat" / "lib" / "site-packages", folder / "project"
    for name in ("click/core.py", "click/deep/x.so", "click-8.dist-info/METADATA", "own.py"):
        for each in (site, project):
            (each / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(f"# {name}\n")
        (project / name).chmod(0o755 if name.endswith(".so") else 0o644)
        os.link(project / name, site / name)
    monkeypatch.setattr(sys, "prefix", str(folder / "moat"))
    monkeypatch.setattr(sys, "path", [str(folder), str(site)])
    return site


def test_every_shared_file_becomes_moats_own(packages: Path, folder: Path) -> None:
    """What is written in the project changes nothing here; contents, modes and times are kept."""
    times = (packages / "click" / "core.py").stat().st_mtime_ns
    assert separate_own_files() == 4
    for file in filter(os.path.isfile, (folder / "project").rglob("*")):
        file.write_text("hostile\n")
    assert (packages / "click" / "core.py").read_text() == "# click/core.py\n"
    assert (packages / "click" / "core.py").stat().st_mtime_ns == times
    assert (packages / "click" / "deep" / "x.so").stat().st_mode & 0o777 == 0o755
    assert separate_own_files() == 0
    assert not list(packages.rglob("*.new-*"))


def test_whoever_is_interrupted_begins_again(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package is told by one file, which is separated after all others."""
    replace, done = os.replace, list[str]()

    def interrupted(source: str, target: str) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        separate_own_files()
    monkeypatch.setattr(os, "replace", replace)
    assert separate_own_files() == 1


def test_the_files_of_others_are_left_alone(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a run of ours nor we could write them; and the system's own are the system's."""
    monkeypatch.setattr(own_files.os, "geteuid", lambda: 4321)
    assert separate_own_files() == 0
    monkeypatch.undo()
    monkeypatch.setattr(sys, "path", [str(packages)])
    assert separate_own_files() == 0  # of no prefix of ours


def test_a_file_that_can_not_be_replaced(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, with the way to install without links."""

    def refuse(_source: str, _target: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UsageError, match="hard link") as error:
        separate_own_files()
    assert "UV_LINK_MODE=copy" in str(error.value.hint)
    assert not list(packages.rglob("*.new-*"))
