"""`devcontainer.json`: the image, features, ports, variables and commands that it names. Pure.

Its format is JSON with comments and trailing commas (containers.dev).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from moat.survey.finding import Finding
from moat.survey.languages import json_object

if TYPE_CHECKING:
    from collections.abc import Iterator

# What isn't closed goes up to the end, so that nothing is looked through twice.
_TOKEN: Final = re.compile(
    r'"(?:[^"\\]|\\.)*+"?|//[^\n]*|/\*.*?(?:\*/|\Z)|,(?=\s*[}\]])', re.DOTALL
)
_FEATURE: Final = re.compile(r"ghcr\.io/devcontainers/features/([a-z0-9-]+)(?::\S*)?")
_ENTRIES: Final = {
    **{each: each for each in ("go", "java", "node", "php", "python", "ruby", "rust", "git-lfs")},
    "github-cli": "gh",
}
"""Entries of the registry, by the names of features."""
_COMMANDS: Final = (
    "onCreateCommand",
    "updateContentCommand",
    "postCreateCommand",
    "postStartCommand",
)
_PORT: Final = re.compile(r"(?:localhost:)?([0-9]{1,5})")


def devcontainer(text: str) -> Iterator[Finding]:
    """Yield what the file says."""
    content = json_object(_plain(text))
    image = content.get("image")
    if isinstance(image, str) and "$" not in image:
        yield Finding("image", image)
    yield from _features(_map(content, "features"))
    yield from _ports(content)
    for name in ("containerEnv", "remoteEnv"):
        for variable, value in _map(content, name).items():
            if isinstance(value, str):
                yield _variable(variable, value)
    for name in _COMMANDS:
        for command in _command_lines(content.get(name)):
            yield Finding("command", name, command)


def _plain(text: str) -> str:
    """Return JSON without comments and trailing commas."""
    text = _TOKEN.sub(lambda token: token[0] if token[0].startswith('"') else " ", text)
    # A comma may have stood before a comment.
    return _TOKEN.sub(lambda token: "" if token[0] == "," else token[0], text)


def _map(content: dict[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _features(features: dict[str, Any]) -> Iterator[Finding]:
    for name in features:
        known = _FEATURE.fullmatch(name)
        if known is None or known[1] not in _ENTRIES:
            continue
        version = _map(features, name).get("version", "")
        yield Finding("dependency", _ENTRIES[known[1]], version if isinstance(version, str) else "")


def _ports(content: dict[str, Any]) -> Iterator[Finding]:
    """Yield the forwarded ports of the container itself; those of other hosts are of services."""
    attributes = _map(content, "portsAttributes")
    ports = content.get("forwardPorts")
    for each in cast("list[object]", ports) if isinstance(ports, list) else []:
        if isinstance(each, str | int) and (found := _PORT.fullmatch(str(each))):
            label = _map(attributes, found[1]).get("label", "")
            yield Finding("port", label if isinstance(label, str) else "", found[1])


def _variable(name: str, value: str) -> Finding:
    """Return a variable in Moat's notation, or its name where it takes its value from somewhere else.

    That may be a secret of the user's, which no stranger's file should ask for.
    """
    value = value.replace("${containerWorkspaceFolder}", "/workspace")
    if "${" in value:
        return Finding("name", name)
    return Finding("variable", name, value.replace("$", "$$"))


def _command_lines(command: object) -> Iterator[str]:
    """Yield the command lines of a command, or of several that have names."""
    named = cast("dict[str, object]", command) if isinstance(command, dict) else {"": command}
    for each in named.values():
        words = cast("list[object]", each) if isinstance(each, list) else [each]
        if all(isinstance(word, str) for word in words):
            yield " ".join(cast("list[str]", words))
