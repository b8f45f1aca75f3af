"""The file that tells an agent about its sandbox, in step with the policy."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from moat.agents.guide import guide
from moat.atomic import replace_file
from moat.egress.persistence import read_rules
from moat.events import PolicyAmended
from moat.paths import agent_files
from moat.spec.agent import GUIDE

if TYPE_CHECKING:
    from moat.events import Event
    from moat.paths import RunFolder
    from moat.spec import RunSpec

log = logging.getLogger(__name__)


class AgentGuide:
    """Writes the file before the command begins, and anew with each rule; a subscriber of events."""

    def __init__(self, spec: RunSpec, folder: RunFolder) -> None:
        self._spec = spec
        self._folder = folder

    def write(self) -> None:
        """Write the file, which the sandbox sees at once. Raises `OSError`."""
        if self._spec.agent is None:
            return
        place = agent_files(self._folder.private)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = guide(self._spec, read_rules(self._folder.additions))
        replace_file(place / GUIDE, text.encode(), durable=False)

    def __call__(self, at: float, event: Event) -> None:
        del at
        if isinstance(event, PolicyAmended):
            try:
                self.write()
            except OSError as exc:
                # The rule holds all the same; the agent learns of it when it asks.
                log.error("the agent's guide was not written: %s", exc)  # noqa: TRY400  no traceback
