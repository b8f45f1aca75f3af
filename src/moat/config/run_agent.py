"""An agent as the command of a run, as the compilation of its specification sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moat.spec import AgentSetup, Grant, McpServer


class AgentStart(NamedTuple):
    """The part of an agent that one run gets."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    """Variables, before which those of the user and of the project come."""
    hosts: tuple[str, ...]
    """Hosts that it needs besides those of its grants."""
    setup: AgentSetup


class RunAgent(Protocol):
    """The agent that the command line names."""

    def grants(self, named: Sequence[str], env: Mapping[str, str]) -> tuple[str, ...]:
        """Return the grants that it needs besides those that are named. `env`: the user's variables."""
        ...

    def start(
        self,
        run_id: str,
        workspace: str,
        grants: Sequence[Grant],
        env: Mapping[str, str],
        servers: Sequence[McpServer] = (),
    ) -> AgentStart:
        """Return what a run gets of it, which has these grants, variables and MCP servers."""
        ...
