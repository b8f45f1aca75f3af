"""The table of protected paths, held to its own rules."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from moat.workspace.path_rules import GIT, PROJECT, PathRule

ROWS = [pytest.param(rule, id=rule.path) for rule in (*PROJECT, *GIT)]


@pytest.mark.parametrize("rule", ROWS)
def test_every_row_says_who_obeys_it_and_why_it_matters(rule: PathRule) -> None:
    """A row without a path below the folder, a program and a reason explains nothing."""
    path = PurePosixPath(rule.path)
    assert not path.is_absolute()
    assert path.parts
    assert ".." not in path.parts
    assert rule.program
    assert rule.reason


def test_no_path_is_there_twice() -> None:
    """Two rows about one path could contradict each other."""
    for table in (PROJECT, GIT):
        paths = [rule.path for rule in table]
        assert sorted(set(paths)) == sorted(paths)


def test_twins_name_each_other() -> None:
    """Whichever of two names is there, the other one may not appear."""
    twins = {rule.path: rule.twin for rule in PROJECT if rule.twin is not None}
    assert {twin: path for path, twin in twins.items()} == twins
