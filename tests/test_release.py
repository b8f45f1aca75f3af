"""What `make release` refuses to release."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from scripts.release import ROOT, changelog_problem

if TYPE_CHECKING:
    from pathlib import Path

SECTION = (
    "# Changes\n\n## [{version}] - {date}\n\n### Added\n\n- All of it.\n\n## [0.0.9] - 2025-01-01\n"
)


@pytest.mark.parametrize(
    ("version", "date", "problem"),
    [
        ("1.2.3", "2026-01-31", ""),
        ("1.2.2", "2026-01-31", "the version is 1.2.3, and CHANGELOG.md begins with 1.2.2"),
        ("1.2.3", "Unreleased", "CHANGELOG.md says 'Unreleased' where the date of 1.2.3 belongs"),
    ],
)
def test_the_changelog_begins_with_the_version_and_its_date(
    version: str, date: str, problem: str
) -> None:
    """What is released has the newest section of the changelog, with the day."""
    assert changelog_problem(SECTION.format(version=version, date=date), "1.2.3") == problem


def test_a_changelog_without_sections_is_refused() -> None:
    """A changelog that nobody has written is said so."""
    assert changelog_problem("# Changes\n", "1.2.3") == "CHANGELOG.md has no section"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("touch stray", "the tree has changes: ?? stray"),
        ("echo >> CHANGELOG.md", "the tree has changes:  M CHANGELOG.md"),
    ],
)
def test_a_tree_with_changes_is_not_released(tmp_path: Path, change: str, problem: str) -> None:
    """What is released can be had again from its commit; what an earlier release left stays."""
    script = tmp_path / "scripts" / "release.py"
    version = tmp_path / "src" / "moat" / "version.py"
    earlier = tmp_path / "dist" / "earlier"
    for file in (script, version, earlier):
        file.parent.mkdir(parents=True)
    script.write_bytes((ROOT / "scripts" / "release.py").read_bytes())
    version.write_text('__version__ = "1.2.3"\n')
    earlier.touch()
    (tmp_path / ".gitignore").write_text("dist/\n")
    (tmp_path / "CHANGELOG.md").write_text(SECTION.format(version="1.2.3", date="2026-01-31"))
    commit = "git -c user.name=T -c user.email=t@example.org commit -q -m x"
    prepare = f"git init -q && git add . && {commit} && {change}"
    subprocess.run(prepare, shell=True, check=True, cwd=tmp_path)

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr == f"release: {problem}\n"
    assert earlier.exists()
