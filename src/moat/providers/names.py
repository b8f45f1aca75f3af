"""The names in braces in the texts of a provider, where a misspelt one would be left out. Pure."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.providers.provider import Provider
    from moat.spec.grants import Injection

_NAME: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_OF_A_LOGIN: Final = frozenset(("token", "refresh_token", "id_token", "scopes", "account"))
"""Fields and attributes that Moat itself gives a credential."""


def check_names(provider: Provider) -> None:
    """Raise `ValueError` for a name that no field, attribute or scope of the provider has."""
    known = set(_known(provider))
    for text in _texts(provider):
        for name in _NAME.findall(text):
            if name not in known:
                advice = _near(name, known) or f"there is {_list(known)}"
                raise ValueError(f"{{{name}}} is no field, attribute or scope here; {advice}")


def _known(provider: Provider) -> Iterator[str]:
    recipe = provider.recipe
    yield from _OF_A_LOGIN
    yield from provider.placeholders
    yield from recipe.attributes
    yield from recipe.attribute_variables
    yield from (each.name for each in recipe.typed)
    for fields in recipe.variables:
        yield from fields
    for login in (*recipe.commands, *recipe.files):
        yield from login.fields
        yield from login.attributes
    if recipe.validation is not None:
        yield from recipe.validation.attributes
    if provider.scope:
        yield provider.scope


def _texts(provider: Provider) -> Iterator[str]:
    for injection in provider.inject:
        yield from _of_injection(injection)
    yield from provider.hosts
    yield from provider.env.values()
    yield from (each.content for each in provider.files)


def _of_injection(injection: Injection) -> Iterator[str]:
    yield from injection.hosts
    yield from injection.paths
    yield injection.name
    if not injection.replace:
        yield injection.value


def _near(name: str, known: set[str]) -> str:
    near: list[str] = difflib.get_close_matches(name, known, 1)
    return f"did you mean {{{near[0]}}}?" if near else ""


def _list(names: set[str]) -> str:
    return ", ".join(f"{{{each}}}" for each in sorted(names - _OF_A_LOGIN | {"token"}))
