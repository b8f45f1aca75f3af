"""The rules of snapshots, from the user's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.config.snapshots import DEFAULT, FIELD, rules
from moat.errors import UsageError
from moat.spec import Snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def test_without_a_section() -> None:
    """Runs have a snapshot when the last viewer leaves, and of their end."""
    assert rules({}) == Snapshots(on=DEFAULT)


def test_everything_can_be_set() -> None:
    """Amounts are written as everywhere else; a moment that is named twice is one."""
    section = {"on": ["turn", "end", "turn"], "keep": 3, "max_age": "30d", "limit": "1g"}
    assert rules(section) == Snapshots(
        on=("turn", "end"), keep=3, max_age=30 * 86400.0, limit=1 << 30
    )


def test_they_can_be_turned_off() -> None:
    """An empty list is none, and not the default."""
    assert rules({"on": []}).on == ()


@pytest.mark.parametrize(
    "section",
    [{"on": "start"}, {"keep": 0}, {"max_age": "1s"}, {"max_age": "soon"}, {"limit": "1k"}],
)
def test_what_is_refused(section: Mapping[str, Any]) -> None:
    """A mistake is an error of the file, with its line."""
    ((name, value),) = section.items()
    field = FIELD.fields[name]
    check = field.each or field.check
    assert check is not None
    with pytest.raises((ValueError, UsageError)):
        check(value)
