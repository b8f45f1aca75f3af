"""Fields of the original Moat's `agent.yaml` that this one doesn't have, and what to write instead.

The original is a Go program: https://github.com/majorcontext/moat. docs/from-moat-go.md has them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_AGENTS: Final = "Configure the agent itself: its settings last in its state (docs/agents.md)"

INSTEAD: Final[Mapping[str, str]] = {
    "agent": "Write name:, or remove it",
    "version": "Remove it: nothing depends on it",
    "runtime": "Choose on the command line: moat run --engine docker",
    "container": "Write limits: memory, cpus, pids; names are resolved by the network's proxy",
    "sandbox": "Remove it: each run has a sandbox, and none can go without",
    "hooks": "Begin the command with them: command: [sh, -c, 'npm install && exec npm start']",
    "snapshots": "They are yours to decide: snapshots in config.yaml (docs/snapshots.md)",
    "tracing": "Remove it: requests are recorded always (moat trace), programs never",
    "clipboard": "It is yours to decide: terminal.clipboard in config.yaml",
    "language_servers": _AGENTS,
    "claude": _AGENTS,
    "codex": _AGENTS,
    "copilot": _AGENTS,
    "gemini": _AGENTS,
    "pi": _AGENTS,
}
"""Advice in place of each field, as the second line of an error."""
