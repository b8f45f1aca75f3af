"""YAML checked against a table of fields, with the file and line in every complaint.

One table drives three things: the check, the suggestion for a misspelt field, and the JSON schema.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# A configuration is a page or two; more is a mistake or an attack.
MAX_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Field:
    """One field: the JSON type it has, what it means, and a further check of its value."""

    type: str
    """"string", "boolean", "number", "integer", "strings", "map", "command" or "object"."""
    description: str
    check: Callable[[Any], object] | None = None
    """Raises `UsageError` or `ValueError` when the value can't be."""
    fields: Mapping[str, Field] = field(default_factory=dict[str, "Field"])
    """Of an "object"."""


def read(path: Path, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The checked content. Raises `UsageError` naming file, line and remedy."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise UsageError(f"{path} can't be read: {exc.strerror}") from exc
    if len(content) > MAX_BYTES:
        raise UsageError(f"{path} is larger than {MAX_BYTES // 1024} KiB")
    try:
        node = yaml.compose(content, Loader=_Loader)
    except yaml.YAMLError as exc:
        raise _not_yaml(path, exc) from exc
    if node is None:
        return {}
    return _Reader(path).object(node, fields)


def schema(title: str, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The table as a JSON schema (draft 2020-12), for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **_object_schema(fields),
    }


_STRINGS: Final = {"type": "array", "items": {"type": "string"}}
_SCHEMAS: Final[Mapping[str, dict[str, Any]]] = {
    "strings": _STRINGS,
    "map": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
    "command": {"anyOf": [{"type": "string"}, _STRINGS]},
    "quantity": {"type": ["string", "number"]},
}


def _object_schema(fields: Mapping[str, Field]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {
                **(
                    _object_schema(each.fields)
                    if each.type == "object"
                    else _SCHEMAS.get(each.type, {"type": each.type})
                ),
                "description": each.description,
            }
            for name, each in fields.items()
        },
    }


class _Loader(yaml.SafeLoader):
    """Safe, and without aliases: a page of them can stand for a terabyte."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not supported here")
        return super().compose_node(parent, index)


def _not_yaml(path: Path, exc: yaml.YAMLError) -> UsageError:
    if isinstance(exc, yaml.MarkedYAMLError) and exc.problem_mark is not None:
        return UsageError(f"{path}:{exc.problem_mark.line + 1}: not valid YAML: {exc.problem}")
    return UsageError(f"{path}: not valid YAML: {exc}")


_JSON_NAMES: Final = {"strings": "a list of strings", "map": "a map of names to values"}
_TAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "string": ("str", "int", "float"),
    "boolean": ("bool",),
    "number": ("int", "float"),
    "integer": ("int",),
    "quantity": ("str", "int", "float"),
}


class _Reader:
    """Walks the nodes of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def object(self, node: yaml.Node, fields: Mapping[str, Field]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in self._pairs(node):
            known = fields.get(key.value)
            if known is None:
                raise self._unknown(key, fields)
            if key.value in result:
                raise self._wrong(key, f"{key.value!r} is there twice")
            result[key.value] = self._value(value, known, key.value)
        return result

    def _pairs(self, node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, "a map of fields is expected here")
        return node.value

    def _value(self, node: yaml.Node, known: Field, name: str) -> Any:
        match known.type:
            case "object":
                return self.object(node, known.fields)
            case "strings":
                value = self._strings(node, name)
            case "map":
                value = {key.value: self._scalar(item, name) for key, item in self._pairs(node)}
            case "command":
                is_list = isinstance(node, yaml.SequenceNode)
                value = self._strings(node, name) if is_list else self._scalar(node, name)
            case simple:
                value = self._simple(node, simple, name)
        if known.check is not None:
            try:
                known.check(value)
            except (UsageError, ValueError) as exc:
                hint = exc.hint if isinstance(exc, UsageError) else None
                text = exc.summary if isinstance(exc, UsageError) else str(exc)
                raise self._wrong(node, f"{name}: {text}", hint) from exc
        return value

    def _strings(self, node: yaml.Node, name: str) -> list[str]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._wrong(node, f"{name} must be a list of strings")
        return [self._scalar(item, name) for item in node.value]

    def _scalar(self, node: yaml.Node, name: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, f"{name}: a plain value is expected here")
        return str(node.value)

    def _simple(self, node: yaml.Node, kind: str, name: str) -> Any:
        text = self._scalar(node, name)
        tag = node.tag.rpartition(":")[2]
        if tag not in _TAGS[kind]:
            raise self._wrong(
                node, f"{name} must be {_JSON_NAMES.get(kind, f'a {kind}')}, not {text!r}"
            )
        match kind:
            case "boolean":
                return yaml.SafeLoader.bool_values[text.lower()]
            case "integer":
                return int(text.replace("_", ""), 0)
            case "number":
                return float(text)
            case _:
                return text

    def _unknown(self, key: yaml.Node, fields: Mapping[str, Field]) -> UsageError:
        name = str(key.value)
        close = difflib.get_close_matches(name, fields, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(fields)}"
        return self._wrong(key, f"unknown field {name!r}", hint)

    def _wrong(self, node: yaml.Node, problem: str, hint: str | None = None) -> UsageError:
        line = node.start_mark.line + 1
        return UsageError(f"{self._path}:{line}: {problem}", hint)
