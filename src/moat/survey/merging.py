"""Lines put into the text of an `agent.yaml`, in which nothing else changes. Pure.

The places are found in the nodes of the text, so comments, order and spelling stay as they are. Whether
the result means what it should is for the caller to check: it reads the new text.
"""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml

from moat.survey.yaml_nodes import pairs, root_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from moat.survey.proposal import Line

_PLAIN: Final = re.compile(
    r"@?[A-Za-z][A-Za-z0-9_./@+-]*(?::[A-Za-z0-9@][A-Za-z0-9_./@+-]*)?|[1-9][0-9]*"
)
_WORDS: Final = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))
_HEADER: Final = (
    "# Proposed by moat init, from the files that the comments name. What it opens holds only once you\n"
    "# agree (moat trust). All fields: moat config schema.\n"
)


class UnmergeableError(Exception):
    """A text has a place in a form into which nothing can be put."""


def new_text(lines: Sequence[Line], suggestions: Iterable[str]) -> str:
    """Return the text of a new file, with suggestions as comments."""
    comments = [f"# - {each}\n" for each in suggestions]
    heading = ["\n# Also found; it is for you to decide:\n"] if comments else []
    return "".join([_HEADER, merged("", lines), *heading, *comments])


def merged(text: str, lines: Sequence[Line]) -> str:
    """Return a text with lines added. Raises `UnmergeableError`."""
    end = "\r\n" if "\r\n" in text else "\n"
    if text and not text.endswith("\n"):
        text += end
    root = root_of(text)
    found: list[tuple[int, str]] = []
    # What goes into a field that is there comes before what goes below the last field.
    for field, group in sorted(
        _grouped(lines).items(), key=lambda each: _depth(root, each[0]), reverse=True
    ):
        place, addition = _addition(text, root, field, group)
        found.append((place, addition.replace("\n", end)))
    result: list[str] = []
    at = 0
    for place, addition in sorted(found, key=lambda each: each[0]):
        result += [text[at:place], addition]
        at = place
    return "".join([*result, text[at:]])


def with_lines(content: Mapping[str, Any], lines: Iterable[Line]) -> dict[str, Any]:
    """Return what a file's content is once lines were added to it."""
    result = copy.deepcopy(dict(content))
    for each in lines:
        *way, last = each.field
        holder = result
        for name in way:
            holder = holder.setdefault(name, {})
        if each.name:
            holder.setdefault(last, {})[each.name] = each.value
        else:
            holder.setdefault(last, []).append(each.value)
    return result


def scalar(text: str) -> str:
    """Return a text as YAML, plain where it can't be taken for anything else."""
    if _PLAIN.fullmatch(text) and not text.startswith("@") and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)


def _grouped(lines: Iterable[Line]) -> dict[tuple[str, ...], list[Line]]:
    groups: dict[tuple[str, ...], list[Line]] = {}
    for each in lines:
        groups.setdefault(each.field, []).append(each)
    return groups


class _Place(NamedTuple):
    """The deepest node that is there of those to which the names of a field lead."""

    node: yaml.Node | None
    missing: tuple[str, ...]


def _find(root: yaml.Node | None, field: Sequence[str]) -> _Place:
    node = root
    for depth, name in enumerate(field):
        values = dict(pairs(node))
        if name not in values:
            return _Place(node, tuple(field[depth:]))
        node = values[name]
    return _Place(node, ())


def _depth(root: yaml.Node | None, field: Sequence[str]) -> int:
    return len(field) - len(_find(root, field).missing)


def _addition(
    text: str, root: yaml.Node | None, field: tuple[str, ...], lines: Sequence[Line]
) -> tuple[int, str]:
    """Return where to put lines of one field, and the text that does it."""
    node, missing = _find(root, field)
    if node is None:
        return len(text), _block(missing, lines, "")
    if not isinstance(node, yaml.CollectionNode):
        raise UnmergeableError(".".join(field))
    if node.flow_style:
        if missing or not lines:
            raise UnmergeableError(".".join(field))
        return _in_flow(node, lines)
    indent = " " * node.start_mark.column
    if node is root:
        return len(text), _block(missing, lines, indent)
    return _after(text, node), _block(missing, lines, indent)


def _in_flow(node: yaml.CollectionNode, lines: Sequence[Line]) -> tuple[int, str]:
    """Return the addition to a list in brackets or a map in braces, which has no place for comments."""
    joined = ", ".join(_entry(each) for each in lines)
    if not node.value:
        return node.start_mark.index + 1, joined
    return _last_child(node).end_mark.index, f", {joined}"


def _entry(line: Line) -> str:
    return f"{scalar(line.name)}: {scalar(line.value)}" if line.name else scalar(line.value)


def _block(missing: Sequence[str], lines: Sequence[Line], indent: str) -> str:
    """Return lines below the names of fields that are missing."""
    return "".join(_block_lines(missing, lines, indent))


def _block_lines(missing: Sequence[str], lines: Sequence[Line], indent: str) -> Iterator[str]:
    for name in missing:
        yield f"{indent}{name}:\n"
        indent += "  "
    for each in lines:
        dash = "" if each.name else "- "
        yield f"{indent}{dash}{_entry(each)}  # {each.comment}\n"


def _after(text: str, node: yaml.Node) -> int:
    """Return the start of the line after the last one of a node."""
    mark = _last(node).end_mark
    if mark.column == 0 and mark.line > node.start_mark.line:  # the mark of a text of several lines
        return mark.index
    end = text.find("\n", mark.index)
    return len(text) if end < 0 else end + 1


def _last(node: yaml.Node) -> yaml.Node:
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        node = _last_child(node)
    return node


def _last_child(node: yaml.CollectionNode) -> yaml.Node:
    """Return the last item of a list, or the last value of a map."""
    return node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
