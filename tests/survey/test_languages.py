"""What files of languages say: versions, tools, and nothing where they are broken."""

from __future__ import annotations

import pytest

from moat.survey import languages
from moat.survey.finding import Finding


def found(name: str, version: str = "") -> Finding:
    return Finding("dependency", name, version)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("v22.3.0\n", [found("node", "v22.3.0")]), ("\n\n20 # why", [found("node", "20")]), ("", [])],
)
def test_a_file_with_a_version(text: str, expected: list[Finding]) -> None:
    """The first word counts, and an empty file says nothing."""
    assert list(languages.version_file("node", text)) == expected


def test_tools_of_asdf() -> None:
    """Names of asdf's become those of the registry; unknown ones and comments say nothing."""
    text = "nodejs 22.1.0\n# golang 1\ngolang 1.22 1.21\n\nterraform 1.5\nruby\n"
    assert list(languages.tool_versions(text)) == [
        *(found("node", "22.1.0"), found("go", "1.22"), found("ruby")),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", [found("node")]),
        ("[1", [found("node")]),
        ("[" * 100_000, [found("node")]),
        ("[1]", [found("node")]),
        ('{"engines": {"node": ">=20"}}', [found("node", ">=20")]),
        ('{"engines": [], "packageManager": 3}', [found("node")]),
        ('{"packageManager": "pnpm@9.1.0+sha1.x"}', [found("node"), found("pnpm", "9.1.0")]),
        ('{"packageManager": "npm@10"}', [found("node")]),
    ],
)
def test_package_json(text: str, expected: list[Finding]) -> None:
    """Node.js is there whatever it says; its version and the package manager where it says them."""
    assert list(languages.package_json(text)) == expected


def test_pyproject() -> None:
    """The version, and the tools with tables."""
    text = '[project]\nrequires-python = ">=3.11"\n[tool.uv]\n[tool.ruff.lint]\n[tool.poetryx]\n'
    assert list(languages.pyproject(text)) == [
        *(found("python", ">=3.11"), found("ruff"), found("uv")),
    ]


@pytest.mark.parametrize(
    ("detect", "text", "expected"),
    [
        (languages.go_mod, "module x\n\ngo 1.22.1\n", [found("go", "1.22.1")]),
        (languages.go_mod, "module x\n", [found("go")]),
        (languages.cargo, "[package]\nrust-version = '1.80'\n", [found("rust", "1.80")]),
        (languages.rust_toolchain, '[toolchain]\nchannel = "1.81"\n', [found("rust", "1.81")]),
        (languages.rust_toolchain, "stable\n", [found("rust", "stable")]),
        (languages.git_attributes, "*.png filter=lfs diff=lfs\n", [found("git-lfs")]),
        (languages.git_attributes, "* text=auto\n", []),
    ],
)
def test_other_languages(detect: object, text: str, expected: list[Finding]) -> None:
    """Each file says its language, and its version where there is one."""
    assert callable(detect)
    assert list(detect(text)) == expected
