"""Files of CI: the versions that it sets up, and the services and images that it uses. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.survey import yaml_nodes as nodes
from moat.survey.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    import yaml

_SET_UP: Final = {
    "node-version": "node",
    "python-version": "python",
    "go-version": "go",
    "java-version": "java",
    "ruby-version": "ruby",
    "php-version": "php",
}
"""Entries of the registry, by the inputs of the actions that set them up."""


def github(text: str) -> Iterator[Finding]:
    """Yield what a workflow of GitHub says."""
    for _, job in nodes.pairs(nodes.at(nodes.root_of(text), "jobs")):
        for step in nodes.items(nodes.at(job, "steps")):
            for name, value in nodes.pairs(nodes.at(step, "with")):
                version = nodes.text_of(value)
                if name in _SET_UP and version and "$" not in version:
                    yield Finding("dependency", _SET_UP[name], version)
        for name, service in nodes.pairs(nodes.at(job, "services")):
            if image := nodes.text_of(nodes.at(service, "image")):
                yield Finding("service", name, image)


def gitlab(text: str) -> Iterator[Finding]:
    """Yield what a pipeline of GitLab says."""
    content = nodes.root_of(text)
    if image := _image(nodes.at(content, "image")):
        yield Finding("image", image)
    for each in nodes.items(nodes.at(content, "services")):
        if image := _image(each):
            yield Finding("service", image.rpartition("/")[2].partition(":")[0], image)


def _image(node: yaml.Node | None) -> str:
    image = nodes.text_of(node) or nodes.text_of(nodes.at(node, "name"))
    return "" if "$" in image else image
