"""Tables of the fields that a configuration file may have.

One table drives the check of a file and the suggestion for a misspelt field (`document`), the question
for the user's consent (`openings`), the JSON schema and the documentation (`reference`). Pure, and
without YAML, which is loaded only to read a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Effect(Enum):
    """The effect of a value from a project, whose author may be hostile."""

    OPENS = auto()
    """The value gives the run more, or decides what it does. It holds only with the user's consent."""
    NARROWS = auto()
    """The value takes something from the run. It holds without consent, and agreements record it."""
    NEUTRAL = auto()
    """Nobody gains anything by it, nor by its absence."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field: the type of its value, its meaning, and a further check of the value."""

    type: str
    """One of "string", "boolean", "number", "integer", "quantity", "enum", "strings", "map",
    "variables", "command", "object", "objects" and "named", a map of objects by name."""
    description: str
    check: Callable[[Any], object] | None = None
    """Raises `UsageError` or `ValueError` for a value that isn't valid."""
    each: Callable[..., object] | None = None
    """Like `check`, for one item of "strings" or "objects", or for one name and value of a "map",
    of "variables" or of "named"."""
    choices: tuple[str, ...] = ()
    """The values of an "enum"."""
    fields: Mapping[str, Field] = field(default_factory=dict[str, "Field"])
    """The fields of an "object", or of each of "objects" or "named"."""
    scalar: str = ""
    """The field of an object of "named" for which a plain value in its place stands."""
    effect: Effect | Callable[[Any], Effect] = Effect.OPENS
    """The effect of the value; a function tells it from the value, or from one item of "strings".

    Whoever adds a field and forgets this has users asked for their consent. An "enum" that narrows lists
    its choices from the loosest to the strictest.
    """


def positive(value: float) -> None:
    """Check a number that must be greater than zero. Raises `ValueError`."""
    if value <= 0:
        raise ValueError(f"{value:g} is not more than zero")


def not_negative(value: float) -> None:
    """Check a number that must not be less than zero. Raises `ValueError`."""
    if value < 0:
        raise ValueError(f"{value:g} is less than zero")


def check_absolute(path: str) -> None:
    """Check a path that must not depend on the working directory. Raises `ValueError`."""
    if not path.startswith("/"):
        raise ValueError(f"{path!r} is not absolute")


def at_least(value: float, least: float, shown: str) -> None:
    """Check a number that must not be less than another one. Raises `ValueError`."""
    if value < least:
        raise ValueError(f"it is less than {shown}")


def schema(title: str, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return the table as a JSON schema (draft 2020-12), for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **_object_schema(fields),
    }


_STRINGS: Final = {"type": "array", "items": {"type": "string"}}
_SCHEMAS: Final[Mapping[str, dict[str, Any]]] = {
    "strings": _STRINGS,
    "map": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
    "variables": {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
    },
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
        case "objects":
            return {"type": "array", "items": _object_schema(known.fields)}
        case "named":
            plain = {"type": ["string", "null"]}
            each = {"anyOf": [plain, _object_schema(known.fields)]}
            return {"type": "object", "additionalProperties": each}
        case "enum":
            return {"type": "string", "enum": list(known.choices)}
        case simple:
            return _SCHEMAS.get(simple, {"type": simple})
