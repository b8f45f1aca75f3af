"""The table of protected paths, held to its own rules."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from scripts.protected_paths import DOCUMENT, document

from moat.spec.protected_path import check_pattern
from moat.workspace.known_paths import GIT, PROJECT

if TYPE_CHECKING:
    from moat.workspace.path_rules import PathRule

ROWS = [pytest.param(rule, id=rule.path) for rule in (*PROJECT, *GIT)]


@pytest.mark.parametrize("rule", ROWS)
def test_every_row_says_who_obeys_it_and_why_it_matters(rule: PathRule) -> None:
    """A row needs a path as the settings may have it, a program and a reason."""
    check_pattern(rule.path)
    assert rule.program
    assert rule.reason


def test_a_git_folder_has_plain_names() -> None:
    """They are looked up and not searched for."""
    assert not any("*" in rule.path for rule in GIT)
    assert max(len(PurePosixPath(rule.path).parts) for rule in GIT) <= 3


def test_the_document_is_the_table() -> None:
    """A user finds why a file can't be written; hint: python scripts/protected_paths.py --write."""
    assert DOCUMENT.read_text() == document()


def test_no_path_is_there_twice() -> None:
    """Two rows about one path could contradict each other."""
    for table in (PROJECT, GIT):
        paths = [rule.path.lower() for rule in table]
        assert sorted(set(paths)) == sorted(paths)


def test_twins_name_each_other() -> None:
    """Whichever of two names is there, the other one may not appear."""
    twins = {rule.path: rule.twin for rule in PROJECT if rule.twin is not None}
    assert {twin: path for path, twin in twins.items()} == twins
