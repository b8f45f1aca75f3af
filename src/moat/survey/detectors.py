"""The table of the files that say what a project needs, and how each is read. Pure."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.survey import languages
from moat.survey.containers import compose, dockerfile
from moat.survey.devcontainer import devcontainer
from moat.survey.finding import Finding
from moat.survey.locks import lock
from moat.survey.pipelines import github, gitlab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PAGES: Final = 128 * 1024
"""Bytes of a file that people write; a larger one is passed over."""
LOCK: Final = 16 * 1024 * 1024
"""Bytes of a file that a package manager writes."""


class Detector(NamedTuple):
    """A kind of file, and what it says."""

    names: tuple[str, ...]
    """Patterns of file names."""
    detect: Callable[[str], Iterable[Finding]]
    limit: int = PAGES
    folder: str = "*"
    """A pattern of the folder's path from the root, which is empty itself."""

    def reads(self, folder: str, name: str) -> bool:
        """Tell whether this detector is for a file."""
        return fnmatchcase(folder, self.folder) and any(
            fnmatchcase(name, each) for each in self.names
        )


def _present(*names: str) -> Callable[[str], Iterable[Finding]]:
    return lambda _: languages.presence(*names)


def _variables(text: str) -> Iterator[Finding]:
    """Yield the names of variables that a user sets for this project, and never a value."""
    for name in re.findall(
        r"^(?:export[ \t]+)?([A-Za-z_]\w{0,100})=", text, re.MULTILINE | re.ASCII
    ):
        yield Finding("name", name)


def _version(name: str) -> Callable[[str], Iterable[Finding]]:
    return partial(languages.version_file, name)


# The first file that says a version decides: files that pin one come before those that set bounds.
DETECTORS: Final = (
    Detector((".nvmrc", ".node-version"), _version("node")),
    Detector((".python-version",), _version("python")),
    Detector((".ruby-version",), _version("ruby")),
    Detector((".java-version",), _version("java")),
    Detector((".go-version",), _version("go")),
    Detector((".tool-versions",), languages.tool_versions),
    Detector(("rust-toolchain", "rust-toolchain.toml"), languages.rust_toolchain),
    Detector(("devcontainer.json", ".devcontainer.json"), devcontainer),
    Detector(("package.json",), languages.package_json),
    Detector(("package-lock.json", "npm-shrinkwrap.json"), lock("npm", "node"), LOCK),
    Detector(("yarn.lock",), lock("yarn", "yarn"), LOCK),
    Detector(("pnpm-lock.yaml",), _present("pnpm"), LOCK),
    Detector(("bun.lock", "bun.lockb"), _present("npm:bun"), LOCK),
    Detector((".npmrc",), lock("npmrc")),
    Detector((".yarnrc.yml",), lock("yarnrc")),
    Detector(("pyproject.toml",), languages.pyproject),
    Detector(("uv.lock",), lock("uv", "uv"), LOCK),
    Detector(("poetry.lock",), _present("poetry"), LOCK),
    Detector(("Pipfile.lock",), lock("pipenv", "uv:pipenv"), LOCK),
    Detector(("requirements*.txt", "pip.conf"), lock("pip", "python")),
    Detector(("setup.py", "setup.cfg", "Pipfile"), _present("python")),
    Detector(("go.mod",), languages.go_mod),
    Detector(("Cargo.toml",), languages.cargo),
    Detector(("Cargo.lock",), lock("cargo", "rust"), LOCK),
    Detector(("Gemfile",), _present("ruby")),
    Detector(("Gemfile.lock",), lock("gem", "ruby"), LOCK),
    Detector(("pom.xml",), _present("maven")),
    Detector(("build.gradle", "build.gradle.kts", "gradlew"), _present("java")),
    Detector(("composer.json",), _present("php")),
    Detector(("composer.lock",), lock("composer", "php"), LOCK),
    Detector(("CMakeLists.txt",), _present("cmake", "build-essential")),
    Detector(("Makefile", "GNUmakefile"), _present("make")),
    Detector((".pre-commit-config.yaml",), _present("pre-commit")),
    Detector((".gitattributes",), languages.git_attributes),
    Detector(("Dockerfile", "Containerfile"), dockerfile),
    Detector(("compose*.y*ml", "docker-compose*.y*ml"), compose),
    Detector(("*.yml", "*.yaml"), github, folder=".github/workflows"),
    Detector((".gitlab-ci.yml",), gitlab, folder=""),
    Detector((".env.example", ".env.sample", ".env.template", ".env.dist"), _variables),
)
MOST_FINDINGS: Final = 500
"""The most findings of one file."""
