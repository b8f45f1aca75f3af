"""A release as `make release` makes it, from a copy of this tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from typing import TYPE_CHECKING

import pytest
from tests.test_repository import ROOT, SOURCES, TRACKED

from moat.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

DATA_SUFFIXES = (".css", ".html", ".js", ".mjs", ".sh", ".svg", ".toml", ".txt", ".yaml")
MODULES = {str(path.relative_to(ROOT / "src")) for path in SOURCES} | {"moat/py.typed"}
DATA = {
    str(path.relative_to(ROOT / "src"))
    for path in TRACKED
    if path.is_relative_to(ROOT / "src") and path.suffix in DATA_SUFFIXES
}
HELD = MODULES | DATA


def _copy_tree(target: Path) -> None:
    """Copy what git knows of this tree, date its changelog, and commit it."""
    for path in TRACKED:
        place = target / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)  # with its permissions
    changelog = target / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace(" - Unreleased", " - 2026-01-01", 1))
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    for command in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "-m", "x"]):
        subprocess.run(["git", *command], cwd=target, check=True)


def _held(wheel: Path) -> set[str]:
    names = zipfile.ZipFile(wheel).namelist()
    return {name for name in names if ".dist-info/" not in name}


@pytest.mark.timeout(1800)
def test_a_release_is_built_and_works(tmp_path: Path) -> None:
    """An sdist and two wheels, which hold what they should, can be installed, and start runs.

    It is one test because compiling takes most of the time. release.py itself tries each wheel.
    """
    _copy_tree(tmp_path)
    done = subprocess.run(
        [sys.executable, "scripts/release.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    dist = tmp_path / "dist"
    (pure,) = dist.glob("*py3-none-any.whl")
    command = f"moat-{__version__}.data/scripts/moat"
    assert _held(pure) == HELD | {command}
    assert "not compiled" in done.stdout

    (compiled,) = set(dist.glob("*.whl")) - {pure}
    held = _held(compiled)
    assert {name for name in held if name.endswith((".py", ".typed", *DATA_SUFFIXES))} == HELD
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = {name.replace(".", "/") for name in project["tool"]["moat"]["compiled"]}
    others = held - HELD - {command}
    assert zipfile.ZipFile(compiled).read(command).startswith(b"\x7fELF")
    assert {name.partition(".")[0] for name in others} == listed | {"moat_egress__mypyc"}

    root = f"moat-{__version__}"
    with tarfile.open(dist / f"{root}.tar.gz") as archive:
        names = set(archive.getnames())
    assert {f"{root}/src/{module}" for module in MODULES} <= names
    assert {f"{root}/LICENSE", f"{root}/README.md", f"{root}/tests/test_repository.py"} <= names

    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=dist, check=True)
    assert len((dist / "SHA256SUMS").read_text().splitlines()) == 3
