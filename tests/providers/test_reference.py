"""docs/providers.md shows the providers that come with Moat."""

from __future__ import annotations

from scripts.providers import DOCUMENT, document


def test_the_reference_is_up_to_date() -> None:
    """Hint: python scripts/providers.py --write."""
    assert DOCUMENT.read_text() == document()
