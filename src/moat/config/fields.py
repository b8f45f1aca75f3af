"""Tables of fields: what a configuration file may hold.

One table drives the check (`document`), the suggestion for a misspelt field, and the JSON schema.
Pure, and without YAML, which only those load who read a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Field:
    """One field: the JSON type it has, what it means, and a further check of its value."""

    type: str
    """"string", "boolean", "number", "integer", "quantity", "enum", "strings", "map", "command" or
    "object"."""
    description: str
    check: Callable[[Any], object] | None = None
    """Raises `UsageError` or `ValueError` when the value can't be."""
    each: Callable[..., object] | None = None
    """As `check`, for one item of "strings", or for one name and value of a "map"."""
    choices: tuple[str, ...] = ()
    """Of an "enum"."""
    fields: Mapping[str, Field] = field(default_factory=dict[str, "Field"])
    """Of an "object"."""


def positive(value: float) -> None:
    """A check for fields of which zero makes no sense."""
    if value <= 0:
        raise ValueError(f"{value:g} is not more than zero")


def not_negative(value: float) -> None:
    if value < 0:
        raise ValueError(f"{value:g} is less than zero")


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
                **_value_schema(each),
                "description": each.description,
            }
            for name, each in fields.items()
        },
    }


def _value_schema(known: Field) -> dict[str, Any]:
    match known.type:
        case "object":
            return _object_schema(known.fields)
        case "enum":
            return {"type": "string", "enum": list(known.choices)}
        case simple:
            return _SCHEMAS.get(simple, {"type": simple})
