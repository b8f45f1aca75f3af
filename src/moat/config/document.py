"""YAML files, checked against a table of fields; every error names the file and the line."""

from __future__ import annotations

import difflib
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

import yaml

from moat.config.files import read_bounded
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from moat.config.fields import Field

# A configuration has a page or two. More is a mistake or an attack.
MAX_BYTES: Final = 256 * 1024


def read(
    path: Path, fields: Mapping[str, Field], instead: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Return the checked content of a file. Raises `UsageError` with file, line and remedy.

    `instead`: remedies for names that aren't fields, at the top level.
    """
    return parse(read_bounded(path, MAX_BYTES), path, fields, instead)


def parse(
    content: bytes,
    path: Path,
    fields: Mapping[str, Field],
    instead: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the checked content of a file that was read, or is to be written, as `path`."""
    try:
        node = yaml.compose(content, Loader=_Loader)
    except yaml.YAMLError as exc:
        raise _not_yaml(path, content, exc) from exc
    except RecursionError:
        raise UsageError(f"{path}: not valid YAML: nested too deeply") from None
    if node is None:
        return {}
    return _Reader(path).object(node, fields, instead)


class _Loader(yaml.SafeLoader):
    """The safe loader, without aliases: a page of them can stand for a terabyte."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark: yaml.Mark = cast("Any", self).peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="aliases are not supported here", problem_mark=mark)
        return super().compose_node(parent, index)


def _not_yaml(path: Path, content: bytes, exc: yaml.YAMLError) -> UsageError:
    if isinstance(exc, yaml.reader.ReaderError):
        if exc.encoding == "unicode":  # then its position counts characters, otherwise bytes
            before = content.decode(errors="replace")[: exc.position]
            what = f"U+{exc.character:04X} is not allowed here"
        else:
            before = content[: exc.position].decode(errors="replace")
            what = "it is not UTF-8"
        line = before.count("\n") + 1
        return UsageError(f"{path}:{line}: not valid YAML: {what}")
    if isinstance(exc, yaml.MarkedYAMLError) and exc.problem_mark is not None:
        return UsageError(f"{path}:{exc.problem_mark.line + 1}: not valid YAML: {exc.problem}")
    return UsageError(f"{path}: not valid YAML: {exc}")


_NAMES: Final = {
    "string": "a string",
    "boolean": "true or false",
    "number": "a number",
    "integer": "a whole number",
    "quantity": "an amount",
}
_TAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "string": ("str", "int", "float"),
    "boolean": ("bool",),
    "number": ("int", "float"),
    "integer": ("int",),
    "quantity": ("str", "int", "float"),
}
_NULL: Final = "tag:yaml.org,2002:null"


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


# Decimal numbers only: YAML 1.1 reads 017 as 15 and 1:30 as 90, which nobody means here.
_VALUES: Final[Mapping[str, Callable[[str], Any]]] = {
    "string": str,
    "boolean": lambda text: yaml.SafeLoader.bool_values[text.lower()],
    "number": _number,
    "integer": int,
    "quantity": str,
}


def _guess(name: str, known: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else None


class _Reader:
    """A walk through the nodes of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def object(
        self,
        node: yaml.Node,
        fields: Mapping[str, Field],
        instead: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, (key, value) in self._pairs(node).items():
            known = fields.get(name)
            if known is None:
                raise self._unknown(key, fields, instead)
            result[name] = self._value(value, known, name)
        return result

    def _pairs(self, node: yaml.Node) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return the node of each name and the node of its value, by name."""
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, "a map of fields is expected here")
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            name = self._scalar(key, "the name of a field")
            if name in pairs:
                raise self._wrong(key, f"{name!r} is given twice")
            pairs[name] = (key, value)
        return pairs

    def _value(self, node: yaml.Node, known: Field, name: str) -> Any:
        match known.type:
            case "object":
                value = self.object(node, known.fields)
            case "objects":
                value = self._objects(node, known, name)
            case "named":
                value = self._named(node, known, name)
            case "strings":
                value = self._strings(node, name, known.each)
            case "map":
                value = self._map(node, name, known.each)
            case "variables":
                value = self._variables(node, name, known.each)
            case "command":
                is_list = isinstance(node, yaml.SequenceNode)
                value = self._strings(node, name) if is_list else self._scalar(node, name)
            case "enum":
                value = self._choice(node, known.choices, name)
            case simple:
                value = self._simple(node, simple, name)
        self._checked(node, name, known.check, value)
        return value

    def _checked(
        self, node: yaml.Node, name: str, check: Callable[..., object] | None, *values: Any
    ) -> None:
        """Run a check, and put the file and the line before its error."""
        if check is None:
            return
        try:
            check(*values)
        except (UsageError, ValueError) as exc:
            hint = exc.hint if isinstance(exc, UsageError) else None
            text = exc.summary if isinstance(exc, UsageError) else str(exc)
            raise self._wrong(node, f"{name}: {text}", hint) from exc

    def _objects(self, node: yaml.Node, known: Field, name: str) -> list[dict[str, Any]]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._wrong(node, f"{name} must be a list of maps")
        values: list[dict[str, Any]] = []
        for item in node.value:
            values.append(self.object(item, known.fields))
            self._checked(item, name, known.each, values[-1])
        return values

    def _named(self, node: yaml.Node, known: Field, name: str) -> dict[str, dict[str, Any]]:
        values: dict[str, dict[str, Any]] = {}
        for key, (key_node, item) in self._pairs(node).items():
            if item.tag == _NULL:
                values[key] = {}
            elif isinstance(item, yaml.ScalarNode):
                field = known.fields[known.scalar]
                values[key] = {known.scalar: self._value(item, field, f"{name}.{key}")}
            else:
                values[key] = self.object(item, known.fields)
            self._checked(key_node, name, known.each, key, values[key])
        return values

    def _strings(
        self, node: yaml.Node, name: str, each: Callable[..., object] | None = None
    ) -> list[str]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._wrong(node, f"{name} must be a list of strings")
        values: list[str] = []
        for item in node.value:
            values.append(self._scalar(item, name))
            self._checked(item, name, each, values[-1])
        return values

    def _map(
        self, node: yaml.Node, name: str, each: Callable[..., object] | None
    ) -> dict[str, str]:
        values: dict[str, str] = {}
        for key, (key_node, item) in self._pairs(node).items():
            values[key] = self._scalar(item, f"{name}.{key}")
            self._checked(key_node, name, each, key, values[key])
        return values

    def _variables(
        self, node: yaml.Node, name: str, each: Callable[..., object] | None
    ) -> dict[str, str | None]:
        values: dict[str, str | None] = {}
        for key, (key_node, item) in self._pairs(node).items():
            text = self._scalar(item, f"{name}.{key}")
            values[key] = None if item.tag == _NULL else text
            self._checked(key_node, f"{name}.{key}", each, key, values[key])
        return values

    def _choice(self, node: yaml.Node, choices: tuple[str, ...], name: str) -> str:
        text = self._scalar(node, name)
        if text not in choices:
            raise self._wrong(
                node,
                f"{name} must be one of {', '.join(choices)}, not {text!r}",
                _guess(text, choices),
            )
        return text

    def _scalar(self, node: yaml.Node, name: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, f"{name}: a plain value is expected here")
        text = str(node.value)
        if "\0" in text:
            raise self._wrong(node, f"{name}: a NUL character can't be passed to a program")
        return text

    def _simple(self, node: yaml.Node, kind: str, name: str) -> Any:
        text = self._scalar(node, name)
        tag = node.tag.rpartition(":")[2]
        try:
            if tag not in _TAGS[kind]:
                raise ValueError(tag)
            return _VALUES[kind](text)
        except (ValueError, KeyError):
            raise self._wrong(node, f"{name} must be {_NAMES[kind]}, not {text!r}") from None

    def _unknown(
        self, key: yaml.Node, fields: Mapping[str, Field], instead: Mapping[str, str]
    ) -> UsageError:
        name = str(key.value)
        hint = instead.get(name) or _guess(name, fields) or f"Known here: {', '.join(fields)}"
        return self._wrong(key, f"unknown field {name!r}", hint)

    def _wrong(self, node: yaml.Node, problem: str, hint: str | None = None) -> UsageError:
        line = node.start_mark.line + 1
        return UsageError(f"{self._path}:{line}: {problem}", hint)
