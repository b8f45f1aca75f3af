"""The program that prints docs/configuration.md, from the tables that check the files."""

from __future__ import annotations

import sys
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from moat.config import agent_file, settings
from moat.config.fields import Effect
from moat.spec.network import Network

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from moat.config.fields import Field

_HEAD: Final = """\
# Configuration

Moat reads two files, and these are their fields. This page is made from the tables that check the
files, by `python -m moat.config.reference > docs/configuration.md`. For editors, `moat config schema`
prints a JSON schema of `agent.yaml`. A field that is unknown, misspelt or of the wrong type is an error
that names its line. An amount of time is written like `10s` or `1h30m`, an amount of memory like `512m`
or `2g`.

"""
_AGENT: Final = """\
## agent.yaml

This file lies in the project's folder and says what its runs need. The command line wins over it.
The last column says which fields hold only if you have agreed to their values
([Security](security.md#consent)).

"""
_SETTINGS: Final = """\
## config.yaml

This file lies in the store (`~/.moat`, or `$MOAT_HOME`) and says what you want for all runs. Its
`network` has the fields that it has in `agent.yaml`; one that it had has moved. [The
network](network.md) explains how the two files are joined.

"""
_TYPES: Final = {
    "strings": "list of text",
    "string": "text",
    "map": "names with values",
    "variables": "names with values, or names alone",
    "command": "text or list of words",
    "quantity": "amount",
    "object": "fields",
    "objects": "list of fields",
    "named": "names with fields",
    "boolean": "true or false",
}
_NETWORK: Final = agent_file.FIELDS["network"]


def reference() -> str:
    """Return the document."""
    own = settings.fields()
    network = own["network"]
    more = {name: field for name, field in network.fields.items() if name not in _NETWORK.fields}
    own["network"] = replace(network, fields=more)
    return (
        _HEAD
        + _AGENT
        + _table(agent_file.FIELDS, {"network": _defaults(Network())}, consent=True)
        + "\n"
        + _SETTINGS
        + _table(own, _defaults(settings.Settings()), consent=False)
    )


def _table(fields: Mapping[str, Field], defaults: Mapping[str, Any], *, consent: bool) -> str:
    columns = ["Field", "Value", "Meaning", "Default", *(["Consent"] if consent else [])]
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    return head + "".join(
        f"| {' | '.join(row[: len(columns)])} |\n" for row in _rows("", fields, defaults)
    )


def _rows(
    prefix: str, fields: Mapping[str, Field], defaults: Mapping[str, Any]
) -> Generator[list[str]]:
    for name, field in fields.items():
        default = defaults.get(name, "")
        nested = bool(field.fields)
        kind = ", ".join(f"`{each}`" for each in field.choices) or _TYPES.get(
            field.type, field.type
        )
        meaning = field.description.replace("|", "\\|")
        shown = "" if nested else _shown(field, default)
        yield [f"`{prefix}{name}`", kind, meaning, shown, "" if nested else _consent(field)]
        if nested:
            separator = {"objects": "[].", "named": ".NAME."}.get(field.type, ".")
            yield from _rows(f"{prefix}{name}{separator}", field.fields, default or {})


def _consent(field: Field) -> str:
    match field.effect:
        case Effect.OPENS:
            return "yes"
        case Effect.NARROWS | Effect.NEUTRAL:
            return "no"
        case _:
            return "in part"


def _defaults(values: Any) -> dict[str, Any]:
    """Return the values of a dataclass as a dictionary, with those of nested dataclasses."""
    named = {each.name: getattr(values, each.name) for each in dataclass_fields(values)}
    return {
        name: _defaults(value) if hasattr(value, "__dataclass_fields__") else value
        for name, value in named.items()
    }


def _shown(field: Field, value: Any) -> str:
    if not value:
        return ""
    if field.type != "quantity":
        return f"`{value}`"
    return f"`{value >> 20}m`" if isinstance(value, int) else f"`{value:g}s`"


if __name__ == "__main__":
    sys.stdout.write(reference())
