"""Credentials that the user types without echo, or gives on standard input."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from moat import typed_json
from moat.credentials.obtaining.obtained import Obtained
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.providers.recipe import Recipe, Typed

_MAX_BYTES: Final = 1 << 16


def prompt(recipe: Recipe) -> Obtained:
    """Ask on the terminal. Raises `click.Abort`."""
    if recipe.help:
        click.echo(f"Make one: {recipe.help}", err=True)
    values: dict[str, str] = {}
    for each in recipe.typed:
        label = f"{recipe.title} {each.label or each.name.replace('_', ' ')}"
        if each.optional:
            label += " (may be empty)"
        given: str = click.prompt(
            label,
            hide_input=each.secret,
            default="" if each.optional else None,
            show_default=False,
            err=True,
        )
        values[each.name] = given.strip()
    return _obtained(recipe, values, "prompt", "the terminal")


def read_stdin(recipe: Recipe) -> Obtained:
    """Read all of standard input: the secret, or a JSON object of several. Raises `UsageError`."""
    data = sys.stdin.buffer.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise UsageError(
            "standard input is too long for a credential", f"At most {_MAX_BYTES} bytes"
        )
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        raise UsageError("standard input is no UTF-8", "Give the credential as text") from None
    if not text:
        raise UsageError("standard input is empty", "Give the credential there")
    return _obtained(recipe, _values(recipe.typed, text), "stdin", "standard input")


def _values(typed: tuple[Typed, ...], text: str) -> Mapping[str, str]:
    required = [each.name for each in typed if not each.optional]
    if len(required) == 1 and not text.startswith("{"):
        return {required[0]: text}
    names = ", ".join(each.name for each in typed)
    hint = f'Give JSON with the names {names}: {{"{typed[0].name}": "..."}}'
    try:
        given: Mapping[str, Any] = typed_json.object_of(typed_json.parse(text), "standard input")
    except ValueError:  # its message would quote the secret
        if len(required) == 1:
            return {required[0]: text}
        raise UsageError("standard input is no JSON object", hint) from None
    if not all(isinstance(value, str) for value in given.values()):
        raise UsageError("a value on standard input is no string", hint)
    unknown = [name for name in given if name not in {each.name for each in typed}]
    if unknown:
        raise UsageError(f"standard input has an unknown name {unknown[0][:40]!r}", hint)
    return given


def _obtained(recipe: Recipe, values: Mapping[str, str], source: Any, origin: str) -> Obtained:
    fields: dict[str, str] = {}
    attributes: dict[str, str] = {}
    for each in recipe.typed:
        value = values.get(each.name)
        if each.secret and value:
            fields[each.name] = value
        # Beside another header field, for example, the usual `Bearer ` can be given up by nothing.
        elif value or (value == "" and attributes and each.name in recipe.attributes):
            attributes[each.name] = value
    return Obtained(fields=fields, source=source, origin=origin, attributes=attributes)
