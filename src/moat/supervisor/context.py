"""The context that the parts of one supervisor share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from moat.events import Emit
    from moat.paths import RunFolder
    from moat.spec import RunSpec
    from moat.supervisor.changes import Changes
    from moat.supervisor.notices import Notices
    from moat.supervisor.state import RunState
    from moat.supervisor.tasks import BackgroundTasks
    from moat.supervisor.viewers import Viewers


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run: what it was asked to be, where it is kept, who is connected, and the loop."""

    spec: RunSpec
    folder: RunFolder
    state: RunState
    viewers: Viewers
    changes: Changes
    tasks: BackgroundTasks
    loop: asyncio.AbstractEventLoop
    emit: Emit
    notices: Notices
