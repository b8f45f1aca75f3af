"""The workspaces of runs that died with their supervisors, which the next start cleans up."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from moat.engines import registry
from moat.errors import MoatError

if TYPE_CHECKING:
    from moat.runs.store import Store

log = logging.getLogger(__name__)


async def clean_up_after(store: Store, own: str) -> None:
    """Quarantine what dead runs have left, in the workspace of the run `own` say."""
    others = [run for run in store.all(ended=False) if run.id != own]
    if not others:
        return
    folders = {store.folder(run.id): run for run in others}

    def clean_up() -> None:
        from moat.workspace import cleanup  # noqa: PLC0415  most starts need none

        cleanup.clean_up_dead_runs(
            folders, lambda folder: registry.has_sandbox(folders[folder], folder)
        )

    try:
        await asyncio.get_running_loop().run_in_executor(None, clean_up)
    except (OSError, ValueError, MoatError) as exc:
        log.error("other runs' workspaces were not cleaned up: %s", exc)  # noqa: TRY400
