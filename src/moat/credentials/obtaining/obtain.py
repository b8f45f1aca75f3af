"""The order in which the ways to a credential are tried."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from moat.credentials.obtaining import browser, device, environment, http, logins, typed, validation
from moat.errors import MoatError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.credentials.obtaining.device import Invitation
    from moat.credentials.obtaining.obtained import Obtained
    from moat.providers.recipe import Recipe, Source


_USUAL_PLACE: Final = re.compile(r"\$\{\w+:-([^}]*)\}")
"""A variable that names another place than the usual one, as the paths of logins have it."""


class Speaker(Protocol):
    """Tells the user what happens, and what to do elsewhere."""

    def refused(self, error: MoatError) -> None:
        """Say that a credential that was found doesn't work, before the next way is tried."""
        ...

    def page(self, url: str) -> None:
        """Name the page on which the user agrees."""
        ...

    def code(self, invitation: Invitation) -> None:
        """Name the page, and the code that the user types there."""
        ...


def obtain(
    recipe: Recipe,
    source: Source | None,
    speaker: Speaker,
    *,
    validate: bool,
    way: http.Way = http.OF_ENVIRONMENT,
) -> Obtained:
    """Return a credential from `source`, or from the first way on which there is one that works.

    Raises `MoatError` if there is none.
    """
    if source is not None and source not in recipe.sources:
        raise UsageError(
            f"a credential of {recipe.title} can't come from {source}",
            f"It can from: {', '.join(recipe.sources) or 'nowhere'}",
        )
    refused: MoatError | None = None
    for found in _found(recipe, source, speaker, way):
        attributes = {**recipe.attributes, **found.attributes, **recipe.fixed}
        found = replace(found, attributes=attributes)  # noqa: PLW2901  with what holds for all
        try:
            validation.check_form(recipe, found)
            return validation.validated(recipe, found, way=way) if validate else found
        except validation.CredentialRefusedError as exc:
            if source is not None or found.source not in {"env", "cli"}:
                raise
            speaker.refused(exc)
            refused = exc
    if refused is not None:
        raise validation.CredentialRefusedError(
            f"no other credential of {recipe.title} was found", refused.hint
        )
    raise _nothing(recipe, source)


def _found(
    recipe: Recipe, source: Source | None, speaker: Speaker, to_provider: http.Way
) -> Iterator[Obtained]:
    ways = (source,) if source is not None else _usual(recipe)
    for way in ways:
        match way:
            case "env":
                found = environment.find(recipe, os.environ)
            case "cli":
                found = logins.find(recipe)
            case "browser" if recipe.oauth is not None:
                found = browser.authorize(recipe.oauth, speaker.page, way=to_provider)
            case "device" if recipe.oauth is not None:
                found = device.authorize(recipe.oauth, speaker.code, way=to_provider)
            case "prompt":
                found = typed.prompt(recipe)
            case _:
                found = typed.read_stdin(recipe)
        if found is not None:
            yield found


def _usual(recipe: Recipe) -> list[Source]:
    """Return the ways that are tried if the user names none; some need a person at the terminal."""
    ways: list[Source] = [each for each in recipe.sources if each in {"env", "cli"}]
    if sys.stdin.isatty() and sys.stderr.isatty():
        ways += _with_a_person(recipe.sources)[:1]
    return ways


def _with_a_person(sources: tuple[Source, ...]) -> list[Source]:
    """Return the ways that need somebody at the terminal, the easiest one first."""
    by_hand: tuple[Source, ...] = ("browser", "device", "prompt")
    if not _has_desktop():
        by_hand = ("device", "browser", "prompt")
    return [each for each in by_hand if each in sources]


def _has_desktop() -> bool:
    return "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ


def _nothing(recipe: Recipe, source: Source | None) -> UsageError:
    looked: list[str] = []
    if source != "cli":
        looked += [name for each in recipe.variables for names in each.values() for name in names]
    if source != "env":
        looked += [" ".join((each.program, *each.arguments)) for each in recipe.commands]
        looked += [_USUAL_PLACE.sub(r"\1", each.path) for each in recipe.files]
    where = f" (looked at: {', '.join(looked)})" if looked else ""
    hint = "Give it at a terminal, or on standard input with --from stdin"
    if source == "env":
        hint = "Set one of these variables, or leave --from out"
    elif source == "cli":
        hint = "Log in with the provider's own program, or leave --from out"
    return UsageError(f"no credential of {recipe.title} was found{where}", hint)
