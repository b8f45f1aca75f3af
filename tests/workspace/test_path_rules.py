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
