"""Patterns for calls of tools: what they mean, to whoever allows and to whoever denies."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.errors import UsageError
from moat.spec.tool_pattern import ToolPattern


@pytest.mark.parametrize(
    ("pattern", "tool", "arguments"),
    [
        ("get_issue", "get_issue", {}),
        ("get_*", "get_", {"any": [1]}),
        ("*", "x", {}),
        ("*_issue_*", "get_issue_by_id", {}),
        ("create team=ENG", "create", {"team": "ENG", "title": "x"}),
        ("create team=*", "create", {"team": ""}),
        ("create 'title=Bug: *'", "create", {"title": "Bug: it fails"}),
        ("list limit=10 all=true", "list", {"limit": 10, "all": True}),
        ("list cursor=null", "list", {"cursor": None}),
        ("create team=", "create", {"team": ""}),
    ],
)
def test_what_a_pattern_means(pattern: str, tool: str, arguments: dict[str, object]) -> None:
    assert ToolPattern.parse(pattern).matches(tool, arguments)
    assert ToolPattern.parse(pattern, denies=True).matches(tool, arguments)


@pytest.mark.parametrize(
    ("pattern", "tool", "arguments"),
    [
        ("get_issue", "get_issues", {}),
        ("get_*", "forget_it", {}),
        ("a*a", "a", {}),
        ("create team=ENG", "create", {}),
        ("create team=ENG", "create", {"team": "OPS"}),
        ("list limit=10", "list", {"limit": 100}),
    ],
)
def test_what_no_pattern_means(pattern: str, tool: str, arguments: dict[str, object]) -> None:
    assert not ToolPattern.parse(pattern).matches(tool, arguments)
    assert not ToolPattern.parse(pattern, denies=True).matches(tool, arguments)


@pytest.mark.parametrize(
    ("pattern", "tool", "arguments"),
    [
        ("delete", "Delete", {}),
        ("create team=ENG", "create", {"team": "eng"}),
        ("create team=ENG", "create", {"Team": "ENG"}),
        ("list limit=10", "list", {"limit": 10.0}),
        ("list limit=1e1", "list", {"limit": 10}),
        ("create team=ENG", "create", {"team": ["OPS", "ENG"]}),
        ("create team=ENG", "create", {"team": {"id": "ENG"}}),
    ],
)
def test_what_only_a_denial_means(pattern: str, tool: str, arguments: dict[str, object]) -> None:
    """It can't be known what the server makes of it."""
    assert not ToolPattern.parse(pattern).matches(tool, arguments)
    assert ToolPattern.parse(pattern, denies=True).matches(tool, arguments)


@pytest.mark.parametrize("text", ["", "  ", "''", "create team", "create =x", "create 'team=x"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        ToolPattern.parse(text)
    assert repr(text) in raised.value.summary


@given(st.text("ab", max_size=8), st.text("ab*", max_size=8))
def test_stars_stand_for_any_text(text: str, pattern: str) -> None:
    """As an expression says it that may take its time."""
    import re  # noqa: PLC0415

    expression = ".*".join(map(re.escape, pattern.split("*")))
    wanted = re.fullmatch(expression, text) is not None
    assert ToolPattern.parse(f"t 'a={pattern}'").matches("t", {"a": text}) == wanted


def test_a_pattern_with_many_stars_takes_no_time() -> None:
    """The run writes the text: an expression with backtracking would keep the proxy busy for ever."""
    pattern = ToolPattern.parse(f"t a={'*a' * 30}b")
    begun = time.process_time()
    assert not pattern.matches("t", {"a": "a" * 1_000_000})
    assert time.process_time() - begun < 60
