"""Images that were made of a store's dependencies: found, listed, removed.

An image is the store's if a name of it says so, of which no registry can have one, and its labels agree.
Labels alone say nothing: any image has those of its base. An image is removed by that name and no other,
and never by force: whatever else has a name of its own, or a container, stays.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moat.engines.container.api import CallRefusedError
from moat.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moat.engines.container.api import EngineAPI

log = logging.getLogger(__name__)

REPOSITORY: Final = "localhost/moat/run"
"""The name of all images that are made from recipes; no registry can have it."""
RECIPE_LABEL: Final = "moat.recipe"
HOME_LABEL: Final = "moat.home"
DEPENDENCIES_LABEL: Final = "moat.dependencies"
_NOT_FOUND: Final = 404
_IN_USE: Final = 409
_REMOVAL_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class MadeImage:
    """An image that was made of dependencies."""

    engine: str
    reference: str
    dependencies: str
    """Its label, which says what it has."""
    created: int
    """Seconds since the epoch."""
    size: int
    """Bytes, those of its base among them."""


def inspect(api: EngineAPI, reference: str) -> dict[str, Any] | None:
    """Return what an engine says of an image; `None` where it has none. Raises `EngineError`."""
    try:
        return api.call("GET", f"/images/{quote(reference, safe='/:@')}/json")
    except CallRefusedError as exc:
        if exc.status != _NOT_FOUND:
            raise
        return None


def describe(api: EngineAPI, reference: str) -> dict[str, Any]:
    """Return what an engine says of an image that it has to have. Raises `EngineError`."""
    found = inspect(api, reference)
    if found is None:
        raise EngineError(f"{api.name} has no image {reference}", _remedy(api.name, reference))
    return found


def _remedy(engine: str, reference: str) -> str:
    if reference.startswith(f"{REPOSITORY}:"):
        return "it was removed just now; start the run again, and it is made anew"
    return f"get it: {engine} pull {reference}"


def reference_of(recipe: str) -> str:
    """Return the reference of the image that is made of a recipe, by its hash."""
    return f"{REPOSITORY}:{recipe}"


def labels(home: Path, recipe: str, dependencies: str) -> dict[str, str]:
    """Return the labels of an image that is made for the store `home`."""
    return {RECIPE_LABEL: recipe, HOME_LABEL: str(home), DEPENDENCIES_LABEL: dependencies}


def made(api: EngineAPI, home: Path) -> Iterator[MadeImage]:
    """Yield the images that were made for the store `home`. Raises `EngineError`."""
    filters = quote(json.dumps({"label": [f"{HOME_LABEL}={home}"]}))
    found: list[dict[str, Any]] = api.call("GET", f"/images/json?filters={filters}")
    for each in found:
        known: dict[str, str] = each.get("Labels") or {}
        own = reference_of(known.get(RECIPE_LABEL, ""))
        if known.get(HOME_LABEL) == str(home) and own in (each.get("RepoTags") or ()):
            yield MadeImage(
                api.name,
                own,
                known.get(DEPENDENCIES_LABEL, ""),
                int(each.get("Created") or 0),
                int(each.get("Size") or 0),
            )


def remove(api: EngineAPI, reference: str) -> bool:
    """Remove an image by its name, unless a container has it; tell whether it was removed."""
    try:
        api.call("DELETE", f"/images/{quote(reference, safe='/:')}", deadline=_REMOVAL_S)
    except CallRefusedError as exc:
        if exc.status not in {_NOT_FOUND, _IN_USE}:
            raise
        log.info("image %s: %s", reference, exc.summary)
        return False
    return True


def remove_replaced(api: EngineAPI, image_id: str) -> None:
    """Remove an image that another one has replaced, if it has no name left and no container. Logs."""
    try:
        found = inspect(api, image_id)
        if found is not None and not [each for each in found.get("RepoTags") or () if each]:
            api.call("DELETE", f"/images/{quote(image_id, safe=':')}", deadline=_REMOVAL_S)
    except EngineError as exc:
        log.info("image %s: %s", image_id, exc.summary)
