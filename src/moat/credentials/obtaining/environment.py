"""Credentials in variables, as the provider's own tools read them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.credentials.obtaining.obtained import Obtained

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.providers.recipe import Recipe


def find(recipe: Recipe, environment: Mapping[str, str]) -> Obtained | None:
    """Return what the first complete set of variables holds."""
    optional = {each.name for each in recipe.typed if each.optional}
    for variables in recipe.variables:
        found = _set(variables, environment)
        if found.keys() | optional >= variables.keys() and found.keys() - optional:
            attributes = _set(recipe.attribute_variables, environment)
            return Obtained(
                fields={name: environment[variable] for name, variable in found.items()},
                source="env",
                origin=" and ".join(found.values()),
                attributes={name: environment[each] for name, each in attributes.items()},
            )
    return None


def _set(
    variables: Mapping[str, tuple[str, ...]], environment: Mapping[str, str]
) -> dict[str, str]:
    """Map each name to the first of its variables that is set, and not to the empty string."""
    found = {
        name: next((each for each in choices if environment.get(each)), None)
        for name, choices in variables.items()
    }
    return {name: variable for name, variable in found.items() if variable is not None}
