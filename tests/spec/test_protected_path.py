"""Patterns of the paths that a user protects."""

from __future__ import annotations

import pytest

from moat.spec.protected_path import check_pattern


@pytest.mark.parametrize("path", ["a", ".a/b.c", "a*/*", "*.x", "[id]/?", "a b/ü"])
def test_names_and_stars_are_patterns(path: str) -> None:
    """All other characters mean themselves."""
    check_pattern(path)


@pytest.mark.parametrize(
    "path",
    [
        *("", "/a", "~/a", "a/", "a//b", ".", "a/../b", "a/**", "*", "**", "*/a", "a\n"),
        *("a*" * 5, "x" * 1025),
    ],
)
def test_what_could_never_match_or_would_match_all_is_refused(path: str) -> None:
    """A mistake is reported and not taken for protection."""
    with pytest.raises(ValueError):
        check_pattern(path)
