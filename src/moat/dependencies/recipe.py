"""A recipe: the text from which an engine builds an image, with the files beside it, and its name. Pure.

Each step is a layer. Its words are passed to `install.sh` as a JSON array, so no shell reads them. The
name of the image is made of all that decides its content: the recipe, the base image's id, the files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from moat.dependencies.plan import EntryStep, PackagesStep, ToolsStep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moat.dependencies.entry import Entry
    from moat.dependencies.plan import Step
    from moat.spec.dependency import Dependency

GENERATOR: Final = 1
"""The version of what makes recipes: another one makes other images of the same dependencies."""

_FOLDER: Final = "/opt/moat"
_INSTALL: Final = f"{_FOLDER}/install"
_NAME_DIGITS: Final = 20
_NUMBERS: Final = frozenset("0123456789.")


@dataclass(frozen=True)
class Recipe:
    """The steps of an image on top of a base image."""

    base: str
    """The id of the base image, without the name of its hash, or another reference of it."""
    steps: tuple[Step, ...]
    install: bytes
    """The content of `install.sh`."""
    authorities: str = ""
    """Certificates, in PEM, of authorities that the steps trust in addition."""

    @cached_property
    def text(self) -> str:
        """The Dockerfile."""
        files = ["install", *(["authorities.pem"] if self.authorities else [])]
        lines = [
            f"FROM {self.base}",
            "USER 0",
            "WORKDIR /",
            f"COPY {json.dumps([*files, f'{_FOLDER}/'])}",
            *(f"RUN {json.dumps([_INSTALL, *words(each)])}" for each in self.steps),
        ]
        return "".join(f"{line}\n" for line in lines)

    @property
    def lines_before(self) -> int:
        """The number of the first step's line, as engines count them, from one."""
        return self.text.count("\n") - len(self.steps) + 1

    @cached_property
    def name(self) -> str:
        """The hash of everything that decides the image's content."""
        parts = [GENERATOR, *([name, sha256(data).hexdigest()] for name, data in self._files())]
        return sha256(json.dumps(parts).encode()).hexdigest()[:_NAME_DIGITS]

    def context(self) -> bytes:
        """Return the archive that an engine is sent: the recipe and its files, and nothing else."""
        # Most starts find their image, and these take longer to load than that.
        import io  # noqa: PLC0415
        import tarfile  # noqa: PLC0415

        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for name, data in self._files():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                member.mode = 0o755 if name == "install" else 0o644
                archive.addfile(member, io.BytesIO(data))
        return content.getvalue()

    def _files(self) -> Iterator[tuple[str, bytes]]:
        yield "Dockerfile", self.text.encode()
        yield "install", self.install
        if self.authorities:
            yield "authorities.pem", self.authorities.encode()


def words(step: Step) -> list[str]:
    """Return the words that `install.sh` gets for a step."""
    match step:
        case ToolsStep(entries):
            return ["entry", "tools", *(word for each in entries for word in _tool_words(each))]
        case EntryStep(entry, version):
            return ["entry", entry.id, *_entry_words(entry, version)]
        case PackagesStep(kind, packages):
            return [kind, *(_package_word(each) for each in packages)]


def _tool_words(entry: Entry) -> list[str]:
    return [
        *_option("--apt", " ".join(entry.apt)),
        *_option("--apk", " ".join(entry.apk)),
        *_links(entry.links, ""),
        *_checks(entry),
    ]


def _entry_words(entry: Entry, version: str) -> list[str]:
    apt = (version and entry.apt_version) or entry.apt
    apk = (version and entry.apk_version) or entry.apk
    return [
        *_option("--version", version),
        *_option("--apt", " ".join(apt).replace("{version}", version)),
        *_option("--apk", " ".join(apk).replace("{version}", version)),
        *_option("--pip", _pip(entry.pip, version) if entry.pip else ""),
        *_option("--npm", _npm(entry.npm, version) if entry.npm else ""),
        *_links(entry.links, version),
        *_checks(entry),
    ]


def _option(name: str, value: str) -> list[str]:
    return [name, value] if value else []


def _checks(entry: Entry) -> list[str]:
    commands = (" ".join(entry.version_command), *entry.works)
    return [word for each in commands for word in ("--check", each)]


def _links(links: Mapping[str, str], version: str) -> list[str]:
    return [
        word
        for name, place in sorted(links.items())
        for word in ("--link", f"{name}={place.replace('{version}', version)}")
    ]


def _package_word(package: Dependency) -> str:
    """Return a package as its package manager names it, of a version or of those that begin with one."""
    name, version = package.name, package.version
    if not version:
        return f"{name}@latest" if package.kind == "go" else name
    match package.kind:
        case "apt":
            return f"{name}={version}"
        case "npm":
            return _npm(name, version)
        case "pip" | "uv":
            return _pip(name, version)
        case "cargo":
            return f"{name}@{version if version.count('.') > 1 else f'~{version}'}"
        case _:
            return f"{name}@{f'v{version}' if version[0].isdecimal() else version}"


def _npm(name: str, version: str) -> str:
    return f"{name}@{version}" if version else name


def _pip(name: str, version: str) -> str:
    if not version:
        return name
    return f"{name}=={version}.*" if set(version) <= _NUMBERS else f"{name}=={version}"
