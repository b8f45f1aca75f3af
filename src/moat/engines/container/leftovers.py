"""Containers of a store that belong to no run any more, and images that no run uses.

A run removes its container at its end. One is left only where the engine didn't answer then, or where
somebody deleted the run's folder. Labels and name say whose a container is; those of other stores are no
business of this one. Labels alone say nothing: any container has those of its image.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from moat.engines.container import container, images
from moat.engines.container.finding import all_here
from moat.engines.container.request import (
    HOME_LABEL,
    RUN_LABEL,
    SERVICE_LABEL,
    container_name,
    service_name,
)
from moat.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from moat.engines.container.api import EngineAPI
    from moat.engines.container.images import MadeImage

log = logging.getLogger(__name__)


def remove_leftovers(home: Path, is_alive: Callable[[str], bool]) -> list[str]:
    """Remove the containers of the store `home` whose runs aren't alive; return their names.

    `is_alive` tells of the id of a run. An engine that can't be asked is passed over: nothing is known
    of its containers.
    """
    removed: list[str] = []
    for api in all_here():
        try:
            # Services come before the container whose network they have.
            for name, run_id in sorted(_containers(api, home), reverse=True):
                if not is_alive(run_id):
                    container.remove(api, name)
                    removed.append(name)
        except EngineError as exc:
            log.info("leftovers: %s", exc.summary)
    return removed


def made_images(home: Path) -> list[MadeImage]:
    """Return the images that were made of dependencies for the store `home`, with all engines.

    An engine that can't be asked is passed over, as above.
    """
    found: list[MadeImage] = []
    for api in all_here():
        try:
            found += images.made(api, home)
        except EngineError as exc:
            log.info("images: %s", exc.summary)
    return found


def remove_images(home: Path, is_used: Callable[[MadeImage], bool]) -> list[str]:
    """Remove the images of the store `home` that aren't used; return their names."""
    removed: list[str] = []
    for api in all_here():
        try:
            unused = [each for each in images.made(api, home) if not is_used(each)]
            removed += [each.reference for each in unused if images.remove(api, each.reference)]
        except EngineError as exc:
            log.info("images: %s", exc.summary)
    return removed


def _containers(api: EngineAPI, home: Path) -> Iterator[tuple[str, str]]:
    filters = quote(json.dumps({"label": [f"{HOME_LABEL}={home}"]}))
    found: list[dict[str, Any]] = api.call("GET", f"/containers/json?all=true&filters={filters}")
    for each in found:
        labels: dict[str, str] = each.get("Labels") or {}
        name, run_id = each["Names"][0].lstrip("/"), labels.get(RUN_LABEL, "")
        service = labels.get(SERVICE_LABEL)
        own = service_name(run_id, service) if service else container_name(run_id)
        if labels.get(HOME_LABEL) == str(home) and name == own:
            yield name, run_id
