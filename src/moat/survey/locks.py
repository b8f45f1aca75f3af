"""Lock files and settings of package managers: the manager, and the hosts that packages come from. Pure.

Only hosts that a file names are found, which is all that matters where a project has a registry of its
own. No table says where a package manager goes by default.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moat.survey.finding import hosts
from moat.survey.languages import presence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from moat.survey.finding import Finding

_SOURCES: Final = {
    "npm": re.compile(r'"resolved":[ \t]*"(https?://[^"\s/]+)'),
    "yarn": re.compile(r'^[ \t]+resolved[ \t]+"(https?://[^"\s/]+)', re.MULTILINE),
    "uv": re.compile(r'(?:registry|url)[ \t]*=[ \t]*"(https?://[^"\s/]+)'),
    "pipenv": re.compile(r'"url":[ \t]*"(https?://[^"\s/]+)'),
    "gem": re.compile(r"^[ \t]+remote:[ \t]*(https?://[^\s/]+)", re.MULTILINE),
    "cargo": re.compile(r'"sparse\+(https?://[^"\s/]+)'),
    "composer": re.compile(r'"url":[ \t]*"(https?://[^"\s/]+)'),
    "npmrc": re.compile(
        r"^(?:@[^:\s]{1,100}:)?registry[ \t]*=[ \t]*(https?://[^\s/]+)", re.MULTILINE
    ),
    "yarnrc": re.compile(r"\bnpmRegistryServer:[ \t]*[\"']?(https?://[^\"'\s/]+)"),
    "pip": re.compile(
        r"^(?:(?:--)?(?:extra-)?index-url|-i)[ \t=]+(https?://[^\s/]+)", re.MULTILINE
    ),
}
"""Patterns of where a file says that packages come from, by its format."""


def lock(source: str, *names: str) -> Callable[[str], Iterator[Finding]]:
    """Return a detector for files of one format, which mean that these dependencies are there."""

    def detect(text: str) -> Iterator[Finding]:
        yield from presence(*names)
        yield from hosts("\n".join(_distinct(_SOURCES[source].findall(text))))

    return detect


def _distinct(found: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(found))
