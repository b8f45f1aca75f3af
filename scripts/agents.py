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
    from collections.abc import Iterable

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
    files = dict.fromkeys(each.path for each in agent.files)
    lines = [f"## {agent.title}", "", f"`moat {agent.id}`. {agent.notes}", ""]
    lines += [
        f"- **Installed** by `{agent.install}`; tested with {agent.tested}.",
        f"- **Logged in** by {grants}.",
        f"- **Lasts**: {homes(agent.state)}, without {homes(agent.credentials)}.",
        f"- **Written at a start**: {homes(files)}.",
        f"- **Reads the guide** at {homes([agent.guide])}.",
    ]
    if agent.env:
        lines.append(f"- **Variables**: {codes(agent.env)}.")
    if not agent.names_sessions:
        lines.append("- **Not supported**: `--resume RUN`; name the session itself.")
    return "".join(f"{line}\n" for line in lines)


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
