"""All agents: those that come with Moat, and the user's own in `$MOAT_HOME/agents`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from moat import typed_json
from moat.agents.agent import Agent
from moat.agents.fields import FIELDS
from moat.config.catalog import Catalog


def _agent(content: dict[str, Any], builtin: bool) -> Agent:
    command = content["command"]
    words = command.split() if isinstance(command, str) else command
    agent = typed_json.read(Agent, {**content, "command": words, "builtin": builtin})
    for path in agent.credentials:
        if not any(path.startswith(f"{folder}/") for folder in agent.state):
            raise ValueError(f"credentials: {path} lies in no folder of state")
    return agent


AGENTS: Final = Catalog(
    kind="agent",
    shipped=Path(__file__).with_name("data"),
    folder="agents",
    fields=FIELDS,
    required=("id", "title", "command"),
    page="docs/agents.md",
    listing="moat agents",
    make=_agent,
)
find: Final = AGENTS.find
