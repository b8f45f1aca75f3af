"""The table of protected paths, held to its own rules."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from moat.workspace.path_rules import GIT, PROJECT, FirstNames, PathRule

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


def test_a_star_stands_where_the_search_expects_it() -> None:
    """In the last part of a path, and first if there is no other part."""
    for rule in PROJECT:
        *folders, name = PurePosixPath(rule.path).parts
        assert "*" not in "".join(folders)
        assert folders or "*" not in name[1:]


@pytest.mark.parametrize("rule", ROWS)
def test_every_row_is_documented(rule: PathRule) -> None:
    """A user whose agent can't write a file finds the file and the program in docs/security.md."""
    document = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    assert f"`{rule.path}`" in document
    assert rule.program.partition(" ")[0] in document


def test_no_path_is_there_twice() -> None:
    """Two rows about one path could contradict each other."""
    for table in (PROJECT, GIT):
        paths = [rule.path for rule in table]
        assert sorted(set(paths)) == sorted(paths)


def test_twins_name_each_other() -> None:
    """Whichever of two names is there, the other one may not appear."""
    twins = {rule.path: rule.twin for rule in PROJECT if rule.twin is not None}
    assert {twin: path for path, twin in twins.items()} == twins


def test_the_first_names_of_paths_are_found_among_others() -> None:
    """By the first part of a path, or by its suffix; a name that only contains one isn't found."""
    rules = [PathRule(path, "x", "y") for path in (".a/b", ".a/c*", ".d", "*.e")]
    names = FirstNames(rules)
    found = names.among(["z.e", ".d", "x", ".a", "a.e", ".a.ex", ".dd", "b"])
    assert found == [".a", ".d", "a.e", "z.e"]
    assert names.rules(".a") == rules[:2]
    assert names.rules("a.e") == [rules[3]]
    assert names.rules("x") == []
    assert names.among([]) == []
