# ruff: noqa: INP001  a script of its own, no part of a package
"""Print what docs/agents.md says of each agent, from `moat/agents/data`.

    python scripts/agents.py           print the page
    python scripts/agents.py --write   write it

tests/agents/test_reference.py fails if the page differs.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from moat.agents import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moat.agents.agent import Agent

DOCUMENT = Path(__file__).parents[1] / "docs" / "agents.md"
_PART = re.compile(r"(<!-- made by scripts/agents.py -->\n).*(<!-- until here -->\n)", re.DOTALL)


def replaced(page: str) -> str:
    """Return the page with its part about each agent made anew."""
    known = map(catalog.AGENTS.load, sorted(catalog.AGENTS.shipped.glob("*.yaml")))
    part = "\n".join(map(section, known))
    return _PART.sub(lambda found: f"{found[1]}\n{part}\n{found[2]}", page)


def section(agent: Agent) -> str:
    """Return what a user wants to know of one agent."""
    grants = " or ".join(f"`moat grant {each.provider}`" for each in agent.logins)
    tested = f"tested with {agent.tested}" if agent.tested else "**not tested** by Moat"
    missing = [name for name, is_missing in _missing(agent) if is_missing]
    files = dict.fromkeys(each.path for each in agent.files)
    lines = [f"## {agent.title}", "", f"`moat {agent.id}`. {agent.notes}", ""]
    lines += [
        f"- **Installed** by `{agent.install}`; {tested}.",
        f"- **Logged in** by {grants or codes(agent.own_login)}.",
        f"- **Lasts**: {homes(agent.state)}{without(agent.credentials)}.",
    ]
    if files:
        lines.append(f"- **Written at a start**: {homes(files)}.")
    if agent.guide:
        lines.append(f"- **Reads the guide** at {homes([agent.guide])}.")
    if agent.env:
        lines.append(f"- **Variables**: {codes(agent.env)}.")
    if missing:
        lines.append(f"- **Not supported**: {', '.join(missing)}.")
    return "".join(f"{line}\n" for line in lines)


def _missing(agent: Agent) -> Iterable[tuple[str, bool]]:
    """Return what can be asked of agents, and whether this one can't do it."""
    return (
        ("`--ask`", not agent.asks),
        ("`--continue`", not agent.lines.resume_last),
        (
            "`--resume RUN` (name the session itself)",
            not agent.names_sessions and bool(agent.lines.resume),
        ),
        ("`--resume`", not agent.lines.resume),
    )


def without(paths: Sequence[str]) -> str:
    """Return what doesn't last of folders that do."""
    return f", without {homes(paths)}" if paths else ""


def homes(paths: Iterable[str]) -> str:
    """Return paths below the home folder."""
    return codes(f"~/{each}" for each in paths)


def codes(texts: Iterable[str]) -> str:
    """Return texts as code."""
    return ", ".join(f"`{each}`" for each in texts)


if __name__ == "__main__":
    page = replaced(DOCUMENT.read_text())
    if sys.argv[1:] == ["--write"]:
        DOCUMENT.write_text(page)
    else:
        sys.stdout.write(page)
