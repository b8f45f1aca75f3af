"""Rules about the repository as a whole."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from pathlib import Path

import click
import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.version import Version

from moat.cli.main import COMMANDS, moat

ROOT = Path(__file__).parents[1]
SOURCE_LINES, TEST_LINES = 400, 800


def _tracked() -> list[Path]:
    """Return the files of the repository that git does not ignore."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True)
    paths = (ROOT / name for name in done.stdout.split("\0") if name)
    return sorted(path for path in paths if path.is_file())


TRACKED = _tracked()
SOURCES = [path for path in TRACKED if path.is_relative_to(ROOT / "src") and path.suffix == ".py"]
TESTS = [path for path in TRACKED if path.is_relative_to(ROOT / "tests") and path.suffix == ".py"]
MODULES = [
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    for path in SOURCES
    if path.name != "__main__.py"
]


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_files_can_be_read_in_one_sitting() -> None:
    """No file is too long to keep in mind; hint: a long file has two ideas in it, so split it."""
    limits = dict.fromkeys(SOURCES, SOURCE_LINES) | dict.fromkeys(TESTS, TEST_LINES)
    long = {str(path): _lines(path) for path, limit in limits.items() if _lines(path) > limit}
    assert not long


@pytest.mark.parametrize("module", MODULES)
def test_modules_import(module: str) -> None:
    """Every module can be imported, without warnings and with nothing missing."""
    importlib.import_module(module)


def test_nothing_of_a_machine_is_in_the_repository() -> None:
    """No file names a path of one machine or a package registry."""
    # In pieces, because this file is searched too.
    registries = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".com", "/simple" + "/")
    homes = re.compile(
        "/(?:" + "work/|home/(?!agent\\b|linuxbrew\\b|you\\b|me\\b|user\\b)|root/\\.|Users/)"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in TRACKED
        if path.suffix not in {".png", ".cast", ".db"}
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if any(name in line for name in registries) or homes.search(line)
    ]
    assert not found


def _locked(file: str) -> dict[str, Version]:
    """Return the packages that a file of pinned requirements installs here."""
    locked: dict[str, Version] = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / "requirements" / file).read_text()):
        if entry.startswith("#"):
            continue
        assert "--hash=sha256:" in entry
        requirement, _, marker = entry.partition(" \\")[0].partition(" ; ")
        if marker and not Marker(marker).evaluate():
            continue
        name, _, version = requirement.partition("==")
        locked[name] = Version(version)
    return locked


def test_every_dependency_is_locked() -> None:
    """The lock satisfies pyproject.toml, and every package in it has a hash; hint: make lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build = (ROOT / "requirements" / "build.in").read_text().splitlines()
    test, dev = (project["dependency-groups"][name] for name in ("test", "dev"))
    wanted = [
        *project["project"]["dependencies"],
        *test,
        *(each for each in dev if each != {"include-group": "test"}),
        *project["build-system"]["requires"],
        *(line for line in build if not line.startswith("#")),
    ]
    locked = _locked("lock.txt")
    assert _locked("test.txt").items() <= locked.items()
    for requirement in map(Requirement, wanted):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        assert requirement.name in locked
        assert locked[requirement.name] in requirement.specifier


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    """Every command can be loaded, has a summary, and is shown in the README or docs."""
    command = moat.get_command(click.Context(moat), name)
    assert command is not None
    assert command.get_short_help_str()
    text = "".join(path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")])
    assert re.search(rf"\bmoat {name}\b", text), f"moat {name} is in no document"
