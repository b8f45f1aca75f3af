"""YAML of a stranger's, read as nodes: no alias is followed, and no value is made of a tag. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Loader(yaml.SafeLoader):
    """The safe loader, for which an alias is nothing: a page of them can stand for a terabyte."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            cast("Any", self).get_event()
            return yaml.ScalarNode("tag:yaml.org,2002:null", "")
        return super().compose_node(parent, index)


def root_of(text: str) -> yaml.Node | None:
    """Return the root of a document; `None` where there is none, or where it isn't YAML."""
    try:
        return yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None


def pairs(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the names and values of a map; nothing of another node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield str(key.value), value


def items(node: yaml.Node | None) -> list[yaml.Node]:
    """Return the items of a list; none of another node."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def at(node: yaml.Node | None, *names: str) -> yaml.Node | None:
    """Return the node that names lead to, through maps."""
    for name in names:
        node = dict(pairs(node)).get(name)
    return node


def text_of(node: yaml.Node | None) -> str:
    """Return the text of a plain value; empty for another node."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""
