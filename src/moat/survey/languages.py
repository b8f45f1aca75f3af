"""Languages and their tools, by the files in which a project names them. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast

from moat.survey.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WORD: Final = re.compile(r"\s*([^\s#]{1,120})")
_ASDF: Final = {
    **{each: each for each in ("go", "java", "maven", "node", "php", "pnpm", "poetry", "python")},
    **{each: each for each in ("ruby", "ruff", "rust", "shellcheck", "uv", "yarn")},
    "nodejs": "node",
    "golang": "go",
}
"""Entries of the registry, by the names that asdf and mise have for them."""


def presence(*names: str) -> list[Finding]:
    """Return findings of dependencies that the mere presence of a file tells."""
    return [Finding("dependency", name) for name in names]


def version_file(name: str, text: str) -> Iterator[Finding]:
    """Yield what a file with nothing but a version in it says."""
    if word := _WORD.match(text):
        yield Finding("dependency", name, word[1])


def tool_versions(text: str) -> Iterator[Finding]:
    """Yield what `.tool-versions` says."""
    for line in text.splitlines():
        name, *versions = line.partition("#")[0].split()[:2] or ("",)
        if name in _ASDF:
            yield Finding("dependency", _ASDF[name], versions[0] if versions else "")


def package_json(text: str) -> Iterator[Finding]:
    """Yield what `package.json` says: Node.js, its version, and the package manager."""
    content = json_object(text)
    engines, manager = content.get("engines"), content.get("packageManager")
    wanted = cast("dict[str, Any]", engines).get("node") if isinstance(engines, dict) else None
    yield Finding("dependency", "node", wanted if isinstance(wanted, str) else "")
    if isinstance(manager, str):
        name, _, version = manager.partition("@")
        if name in {"pnpm", "yarn"}:
            yield Finding("dependency", name, version.partition("+")[0])


def json_object(text: str) -> dict[str, Any]:
    """Return a JSON object; an empty one where the text is something else."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


def pyproject(text: str) -> Iterator[Finding]:
    """Yield what `pyproject.toml` says: Python, its version, and the tools that it has settings for."""
    yield Finding("dependency", "python", setting(text, "requires-python"))
    tools = set(re.findall(r"^\[tool\.(poetry|ruff|uv)[.\]]", text, re.MULTILINE))
    yield from presence(*sorted(tools))


def go_mod(text: str) -> Iterator[Finding]:
    """Yield what `go.mod` says."""
    found = re.search(r"^go[ \t]+([0-9.]+)", text, re.MULTILINE)
    yield Finding("dependency", "go", found[1] if found else "")


def cargo(text: str) -> Iterator[Finding]:
    """Yield what `Cargo.toml` says."""
    yield Finding("dependency", "rust", setting(text, "rust-version"))


def rust_toolchain(text: str) -> Iterator[Finding]:
    """Yield what `rust-toolchain` says, which is TOML or the name of a channel."""
    if "[" in text:
        yield Finding("dependency", "rust", setting(text, "channel"))
    else:
        yield from version_file("rust", text)


def git_attributes(text: str) -> Iterable[Finding]:
    """Return what `.gitattributes` says."""
    return presence("git-lfs") if "filter=lfs" in text else ()


def setting(text: str, name: str) -> str:
    """Return the first string that TOML gives a key of that name, whatever its table.

    A line is all that is needed, and a parser would take minutes for a key with thousands of dots.
    """
    pattern = rf"^{re.escape(name)}[ \t]*=[ \t]*[\"']([^\"'\n]*)[\"']"
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else ""
