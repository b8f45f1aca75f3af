"""The files of a repository, which may be hostile."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from moat.errors import UsageError
from moat.survey.finding import Finding
from moat.survey.reading import survey

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(root: Path) -> list[str]:
    return [f"{each.source}={each.name}" for each in survey(root).findings]


def test_each_finding_names_its_file(tmp_path: Path) -> None:
    """Files of two levels of folders are read, and those of generated and hidden ones aren't."""
    write(
        tmp_path,
        {
            "package.json": "{}",
            "packages/web/Gemfile": "",
            "packages/web/deep/go.mod": "",
            "node_modules/x/Cargo.toml": "",
            "vendor/pom.xml": "",
            ".hidden/pom.xml": "",
            ".github/workflows/a.yml": "jobs: {a: {services: {db: {image: x}}}}",
            ".devcontainer/devcontainer.json": '{"image": "a"}',
            "odd\u202ename/pom.xml": "",
        },
    )
    assert survey(tmp_path) == (
        (
            Finding("image", "a", "", ".devcontainer/devcontainer.json"),
            Finding("dependency", "node", "", "package.json"),
            Finding("dependency", "ruby", "", "packages/web/Gemfile"),
            Finding("service", "db", "x", ".github/workflows/a.yml"),
        ),
        (),
    )


def test_no_link_is_followed(tmp_path: Path) -> None:
    """Neither to a file nor to a folder, wherever it leads; the first is told."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    write(outside, {"secret": "v1", "go.mod": "go 1.22"})
    write(root, {"x/.keep": ""})
    (root / ".nvmrc").symlink_to(outside / "secret")
    (root / "x" / ".env.example").symlink_to("../.nvmrc")
    (root / "folder").symlink_to(outside)
    assert survey(root) == (
        (),
        (
            ".nvmrc: a link, too large, or not to be read",
            "x/.env.example: a link, too large, or not to be read",
        ),
    )


def test_what_is_no_file_or_too_large(tmp_path: Path) -> None:
    """A pipe, a socket, a folder and a file of zeros are passed over at once."""
    os.mkfifo(tmp_path / ".nvmrc")
    (tmp_path / "go.mod").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "Cargo.toml"))
    with (tmp_path / "package-lock.json").open("wb") as file:
        file.truncate(1 << 40)
    found = survey(tmp_path)
    assert found.findings == ()
    assert sorted(found.passed_over) == [
        f"{name}: a link, too large, or not to be read"
        for name in (".nvmrc", "Cargo.toml", "go.mod", "package-lock.json")
    ]


def test_many_files_and_folders(tmp_path: Path) -> None:
    """There is an end to what is read, and it is said."""
    write(tmp_path, {f"a{each}/package.json": "{}" for each in range(300)})
    assert len(names(tmp_path)) == 199  # one of the folders is the root
    write(tmp_path, {f"requirements{each}.txt": "" for each in range(300)})
    found = survey(tmp_path)
    assert len(found.findings) == 200
    assert found.passed_over == ("too many files; some weren't read",)


def test_what_does_not_fit_on_a_line(tmp_path: Path) -> None:
    """No control character and no long text comes out, and no file says too much."""
    write(
        tmp_path,
        {
            ".nvmrc": "v1\u202e",
            ".tool-versions": "ruby 1\x1b[2J\n",
            ".env.example": "".join(f"A{each}=\n" for each in range(10_000)),
            "Dockerfile": f"FROM {'a' * 500}\n",
        },
    )
    found = survey(tmp_path).findings
    assert len(found) == 500
    assert all(each.is_readable for each in found)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """One line says which."""
    with pytest.raises(UsageError, match="nothing-here can't be read"):
        survey(tmp_path / "nothing-here")


def test_much_text(tmp_path: Path) -> None:
    """There is an end to the text that is read, too, which lock files don't share."""
    write(tmp_path, {f"a{each:02}/.nvmrc": "v1\n" + "#" * 130_000 for each in range(12)})
    write(tmp_path, {f"a{each:02}/yarn.lock": "#" * 200_000 for each in range(12)})
    found = survey(tmp_path)
    assert [each.name for each in found.findings].count("node") == 8
    assert [each.name for each in found.findings].count("yarn") == 12
    assert [each.partition("/")[0] for each in found.passed_over] == ["a08", "a09", "a10", "a11"]
