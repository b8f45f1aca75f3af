"""Rules about protected paths, and the search for what they are about."""

from __future__ import annotations

import pytest

from moat.spec import ProtectedPath
from moat.workspace.path_rules import NamePattern, PathRule, PathTable, Protection, rule_of


def test_the_first_names_of_paths_are_found_among_others() -> None:
    """By the first part of a path, whole or with stars; a name that only contains one isn't found."""
    rules = [PathRule(path, "x", "y") for path in (".a/b", ".a/c*", ".d", "*.e", "f*g")]
    table = PathTable(rules)
    found = table.among(["z.e", ".d", "x", ".a", "a.e", ".a.ex", ".dd", "b", "fg", "gf"])
    assert found == [".a", ".d", "a.e", "fg", "z.e"]
    assert table.rules(".a") == rules[:2]
    assert table.rules("a.e") == [rules[3]]
    assert table.rules("f.e") == [rules[3]]
    assert table.rules("x") == []
    assert table.rules("*.e") == [rules[3]]
    assert table.among([]) == []
    assert PathTable([]).among(["a"]) == []


def test_case_makes_no_difference() -> None:
    """On many file systems `.VSCODE` is `.vscode`; the name is found as it is written there."""
    table = PathTable([PathRule(".vscode", "x", "y"), PathRule("*.Ipr", "x", "y")])
    assert table.among([".VSCode", "A.IPR", "\u0130"]) == [".VSCode", "A.IPR"]
    assert [rule.path for rule in table.rules(".VSCODE")] == [".vscode"]


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("a*", ["a", "abc"], ["ba", ""]),
        ("*a*b", ["ab", "xaxb", "aab"], ["ba", "abx"]),
        ("a*a", ["aa", "axa"], ["a"]),
        ("[a]*.x", ["[a].x"], ["a.x"]),
    ],
)
def test_a_star_is_any_part_of_a_name(pattern: str, names: list[str], others: list[str]) -> None:
    """All other characters mean themselves, as `[id]` does in the names of some projects."""
    matches = NamePattern(pattern).matches
    assert [name for name in (*names, *others) if matches(name)] == names


def test_a_row_of_the_settings_is_a_rule() -> None:
    """It is treated like the rules of Moat's own table."""
    assert rule_of(ProtectedPath("a", "x")).protection is Protection.READ_ONLY
    assert rule_of(ProtectedPath("a", "x", "watched")).protection is Protection.WATCHED


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        (".a", None),
        (".a/b", ".a/b"),
        (".A/B/c/d", ".a/b"),
        ("x/y/.a/b", ".a/b"),
        (".a/c", None),
        ("x/.d", ".d"),
        ("x/.d/y", ".d"),
        ("e.sh", "*.sh"),
        ("node_modules", None),
        ("node_modules/.d", None),
        ("x/node_modules/y/.d/z", None),
        (".d/node_modules/x", ".d"),
    ],
)
def test_a_path_is_under_the_rule_for_it_or_for_a_folder_around_it(
    path: str, rule: str | None
) -> None:
    """At any depth but below packages, in upper and lower case."""
    table = PathTable([PathRule(each, "x", "y") for each in (".a/b", ".d", "*.sh")])
    found = table.rule_over(path)
    assert (found and found.path) == rule


def test_a_link_in_the_place_of_a_folder_is_under_the_rules_for_what_is_in_it() -> None:
    """What it leads to may have that file."""
    table = PathTable([PathRule(".a/b/c", "x", "y")])
    assert table.rule_over("x/.a", is_link=True) is not None
    assert table.rule_over("x/.a/b", is_link=True) is not None
    assert table.rule_over("x/.a/z", is_link=True) is None
    assert table.rule_over("x", is_link=True) is None
