"""What engines have left of runs: containers, and images that were made of dependencies."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Final

from moat.cli.output import seconds_since_epoch
from moat.engines.registry import remove_images, remove_leftovers

if TYPE_CHECKING:
    from moat.engines.container.images import MadeImage
    from moat.runs.store import Store

_UNUSED_S: Final = 30 * 24 * 3600
"""An image that no run has used for so long is removed."""


def remove_left_by_engines(store: Store, *, all_images: bool) -> list[str]:
    """Remove what engines have of no run any more; return a line for each."""
    runs = store.all()
    alive = {run.id for run in runs if not run.ended}
    containers = remove_leftovers(store.home, alive.__contains__)
    recent = time.time() - _UNUSED_S

    def counts(created: float) -> bool:
        return not all_images and created > recent

    @cache
    def used() -> set[str]:
        """Return the images of living runs, and of those that began not long ago."""
        users = (
            each.id
            for each in runs
            if each.id in alive or counts(seconds_since_epoch(each.created_at))
        )
        return {store.spec(run_id).container.image for run_id in users}

    def is_used(image: MadeImage) -> bool:
        return counts(image.created) or image.reference in used()

    return [
        *(f"the container {name}, which belonged to no run" for name in containers),
        *(f"the image {name}, which no run uses" for name in remove_images(store.home, is_used)),
    ]
