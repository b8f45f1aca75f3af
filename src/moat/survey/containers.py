"""Dockerfiles and files of Compose: images, ports, and the services beside the project. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moat.survey import yaml_nodes as nodes
from moat.survey.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    import yaml

_FROM: Final = re.compile(
    r"^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)?(\S+)(?:[ \t]+AS[ \t]+(\S+))?", re.IGNORECASE | re.MULTILINE
)
_EXPOSE: Final = re.compile(r"^[ \t]*EXPOSE[ \t]+([0-9]{1,5})", re.IGNORECASE | re.MULTILINE)
_PUBLISHED: Final = re.compile(r"(?:(?:[^:]*:)?([0-9]{0,5}):)?([0-9]{1,5})(?:/tcp)?")


def dockerfile(text: str) -> Iterator[Finding]:
    """Yield the image that the last stage begins with, and the ports of its servers."""
    stages: dict[str, str] = {}
    image = ""
    for stage in _FROM.finditer(text):
        image = stages.get(stage[1], stage[1])
        stages[stage[2] or stage[1]] = image
    if image and "$" not in image and image != "scratch":
        yield Finding("image", image)
    for port in _EXPOSE.findall(text):
        yield Finding("port", "", port)


def compose(text: str) -> Iterator[Finding]:
    """Yield ports of the services that are built from the project, and the others as services."""
    for name, service in nodes.pairs(nodes.at(nodes.root_of(text), "services")):
        published = list(_ports(nodes.at(service, "ports")))
        if nodes.at(service, "build") is not None:
            yield from (Finding("port", name, inner) for _, inner in published)
        elif image := nodes.text_of(nodes.at(service, "image")):
            outer = next((outer for outer, _ in published if outer), "")
            yield Finding("service", f"{name}:{outer}" if outer else name, image)


def _ports(node: yaml.Node | None) -> Iterator[tuple[str, str]]:
    """Yield the port here, empty where it is chosen at the start, and the port in the container."""
    for each in nodes.items(node):
        if long := dict(nodes.pairs(each)):
            yield nodes.text_of(long.get("published")), nodes.text_of(long.get("target"))
        elif found := _PUBLISHED.fullmatch(nodes.text_of(each)):
            yield found[1] or "", found[2]
