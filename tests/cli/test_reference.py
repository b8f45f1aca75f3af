"""docs/reference.md is what the commands say."""

from __future__ import annotations

from pathlib import Path

import pytest

from moat.cli.main import COMMANDS
from moat.cli.reference import reference

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference.md"


def test_the_reference_is_up_to_date() -> None:
    """Hint: python -m moat.cli.reference > docs/reference.md."""
    assert DOCUMENT.read_text() == reference()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_section(name: str) -> None:
    """With the way to call it."""
    assert f"\n## moat {name}\n\n```\nmoat {name}" in DOCUMENT.read_text()
