# ruff: noqa: INP001  a script of its own, no part of a package
"""Build what is published, and try it: an sdist, and from that a compiled and a pure wheel.

    python scripts/release.py

Refuses a tree with changes and a version that CHANGELOG.md doesn't date. Each wheel is installed into a
virtual environment of its own, with the locked dependencies, and tried by scripts/smoke.py. Leaves the
three files and their SHA256SUMS in dist/. Uploads nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_HEADING: Final = re.compile(r"^## \[(?P<version>[^]]+)\] - (?P<date>.+)$", re.MULTILINE)
_VERSION: Final = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_HASH: Final = re.compile(r" \\\n +--hash=\S+")


def main() -> None:
    version = _VERSION.findall((ROOT / "src/moat/version.py").read_text())[0]
    for problem in (
        changelog_problem((ROOT / "CHANGELOG.md").read_text(), version),
        tree_problem(),
    ):
        if problem:
            raise SystemExit(f"release: {problem}")
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="moat-release-") as temporary:
        built = build(dist, Path(temporary), version)
        for kind, wheel in built.items():
            say(f"trying {wheel.name}")
            try_out(wheel, Path(temporary, f"venv-{kind}"), version, kind)
    files = sorted(dist.iterdir())
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (dist / "SHA256SUMS").write_text("".join(sums))
    say("dist/SHA256SUMS:\n" + "".join(sums), end="")


def changelog_problem(text: str, version: str) -> str:
    """Return why this version can't be released with this changelog; empty if it can."""
    newest = _HEADING.search(text)
    if newest is None:
        return "CHANGELOG.md has no section"
    if newest["version"] != version:
        return f"the version is {version}, and CHANGELOG.md begins with {newest['version']}"
    if not _DATE.fullmatch(newest["date"]):
        return f"CHANGELOG.md says {newest['date']!r} where the date of {version} belongs"
    return ""


def tree_problem() -> str:
    """Return why this tree can't be released; empty if it can."""
    changes = _output("git", "status", "--porcelain").splitlines()
    return f"the tree has changes: {', '.join(changes)}" if changes else ""


def build(dist: Path, temporary: Path, version: str) -> dict[str, Path]:
    """Build the sdist from the tree, and the wheels from the sdist: what it lacks, they would lack."""
    say(f"building moat {version}")
    _output(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(dist))
    with tarfile.open(dist / f"moat-{version}.tar.gz") as archive:
        archive.extractall(temporary, filter="data")
    source = temporary / f"moat-{version}"
    return {
        "compiled": _wheel(source, dist),
        "pure": _wheel(source, dist, CC="no-such-compiler"),
    }


def _wheel(source: Path, dist: Path, **environment: str) -> Path:
    before = set(dist.iterdir())
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)]
    say(_output(*command, cwd=source, **environment), end="")
    (wheel,) = set(dist.iterdir()) - before
    return wheel


def try_out(wheel: Path, venv: Path, version: str, kind: str) -> None:
    """Install a wheel with the locked dependencies that it asks for, and use it."""
    _output(sys.executable, "-m", "venv", str(venv))
    # Without hashes, which pip would then want of the wheel, too.
    constraints = venv / "constraints.txt"
    constraints.write_text(_HASH.sub("", (ROOT / "requirements/lock.txt").read_text()))
    pip = [
        str(venv / "bin/python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
    ]
    _output(*pip, "--constraint", str(constraints), str(wheel))
    smoke = str(ROOT / "scripts/smoke.py")
    _output(str(venv / "bin/python"), "-I", smoke, version, kind, cwd=venv)


def _output(*command: str, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        text=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        raise SystemExit(f"release: {' '.join(command)}:\n{done.stdout}")
    return done.stdout


def say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
