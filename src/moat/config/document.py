"""YAML checked against a table of fields, with the file and line in every complaint."""

from __future__ import annotations

import difflib
import math
import os
import stat
from typing import TYPE_CHECKING, Any, Final

import yaml

from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moat.config.fields import Field

# A configuration is a page or two; more is a mistake or an attack.
MAX_BYTES: Final = 256 * 1024


def read(path: Path, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The checked content. Raises `UsageError` naming file, line and remedy."""
    content = _content(path)
    try:
        node = yaml.compose(content, Loader=_Loader)
    except yaml.YAMLError as exc:
        raise _not_yaml(path, exc) from exc
    except RecursionError:
        raise UsageError(f"{path}: not valid YAML: nested too deeply") from None
    if node is None:
        return {}
    return _Reader(path).object(node, fields)


def _content(path: Path) -> bytes:
    try:
        # Not blocking: a run may have put a pipe in this place, which nobody ever writes to.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123  a descriptor
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"{path} is not a file", "Put a file there, or nothing")
            content = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise UsageError(f"{path} can't be read: {exc.strerror}") from exc
    if len(content) > MAX_BYTES:
        raise UsageError(f"{path} is larger than {MAX_BYTES // 1024} KiB")
    return content


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


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


# Plain decimal numbers alone: YAML 1.1 reads 017 as 15 and 1:30 as 90, which nobody means here.
_VALUES: Final[Mapping[str, Callable[[str], Any]]] = {
    "string": str,
    "boolean": lambda text: yaml.SafeLoader.bool_values[text.lower()],
    "number": _number,
    "integer": int,
    "quantity": str,
}


class _Reader:
    """Walks the nodes of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def object(self, node: yaml.Node, fields: Mapping[str, Field]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, (key, value) in self._pairs(node).items():
            known = fields.get(name)
            if known is None:
                raise self._unknown(key, fields)
            result[name] = self._value(value, known, name)
        return result

    def _pairs(self, node: yaml.Node) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """By name: its node, and that of its value."""
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, "a map of fields is expected here")
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            name = self._scalar(key, "the name of a field")
            if name in pairs:
                raise self._wrong(key, f"{name!r} is there twice")
            pairs[name] = (key, value)
        return pairs

    def _value(self, node: yaml.Node, known: Field, name: str) -> Any:
        match known.type:
            case "object":
                return self.object(node, known.fields)
            case "strings":
                value = self._strings(node, name)
            case "map":
                value = {
                    key: self._scalar(item, f"{name}.{key}")
                    for key, (_, item) in self._pairs(node).items()
                }
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

    def _unknown(self, key: yaml.Node, fields: Mapping[str, Field]) -> UsageError:
        name = str(key.value)
        close = difflib.get_close_matches(name, fields, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(fields)}"
        return self._wrong(key, f"unknown field {name!r}", hint)

    def _wrong(self, node: yaml.Node, problem: str, hint: str | None = None) -> UsageError:
        line = node.start_mark.line + 1
        return UsageError(f"{self._path}:{line}: {problem}", hint)
