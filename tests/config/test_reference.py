"""docs/configuration.md shows the tables that check the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from moat.config.reference import reference

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_reference_is_up_to_date() -> None:
    """Hint: python -m moat.config.reference > docs/configuration.md."""
    assert DOCUMENT.read_text() == reference()


@pytest.mark.parametrize(
    "shown", ["`network.timeouts.idle`", "`900s`", "`journal_limit`", "`256m`"]
)
def test_fields_and_their_defaults_are_in_it(shown: str) -> None:
    """Nested fields are listed, too, and amounts in the units of the files."""
    assert f"| {shown} |" in DOCUMENT.read_text()
