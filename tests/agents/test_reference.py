"""docs/agents.md shows the agents that come with Moat."""

from __future__ import annotations

from scripts.agents import DOCUMENT, replaced


def test_the_page_is_up_to_date() -> None:
    """Hint: python scripts/agents.py --write."""
    page = DOCUMENT.read_text()
    assert replaced(page) == page
    assert "## Claude Code" in page
