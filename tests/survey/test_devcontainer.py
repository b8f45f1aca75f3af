"""devcontainer.json: JSON with comments, and what of it is for Moat."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.survey.devcontainer import devcontainer
from moat.survey.finding import Finding

FILE = """
// for "everybody"
{
  "image": "dev.example/base:1", /* } */
  "features": {
    "ghcr.io/devcontainers/features/go:1": {"version": "1.22"},
    "ghcr.io/devcontainers/features/github-cli": {"version": 2},
    "ghcr.io/devcontainers/features/unheard-of:1": {},
    "other.example/x:1": {},
  },
  "forwardPorts": [3000, "localhost:3001", "db:5432", true, [1],],
  "portsAttributes": {"3000": {"label": "The app"}, "3001": {"label": 3}},
  "containerEnv": {"URL": "http://a//b", "PLACE": "${containerWorkspaceFolder}/x", "PRICE": "5$"},
  "remoteEnv": {"TOKEN": "${localEnv:TOKEN}", "GONE": null},
  "postCreateCommand": {"a": "npm ci", "b": ["make", "all"], "c": {"d": "e"}},
  "onCreateCommand": "true", // the end
}
"""


def test_what_it_says() -> None:
    """All of it, without the variables and commands of which only the name could be taken."""
    assert list(devcontainer(FILE)) == [
        Finding("image", "dev.example/base:1"),
        Finding("dependency", "go", "1.22"),
        Finding("dependency", "gh"),
        Finding("port", "The app", "3000"),
        Finding("port", "", "3001"),
        Finding("variable", "URL", "http://a//b"),
        Finding("variable", "PLACE", "/workspace/x"),
        Finding("variable", "PRICE", "5$$"),
        Finding("name", "TOKEN"),
        Finding("command", "onCreateCommand", "true"),
        Finding("command", "postCreateCommand", "npm ci"),
        Finding("command", "postCreateCommand", "make all"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{" * 100_000,
        '{"image": "a$b", "features": [], "forwardPorts": {}}',
        "{'a': 1}",
    ],
)
def test_what_is_none(text: str) -> None:
    """A broken or foreign file says nothing."""
    assert list(devcontainer(text)) == []


def test_a_comma_before_a_comment() -> None:
    """It is a trailing one all the same."""
    assert list(devcontainer('{"image": "a", // b\n/* c */}')) == [Finding("image", "a")]


@given(st.dictionaries(st.text(), st.recursive(st.text(), st.lists)))
def test_plain_json_is_read_as_it_is(content: dict[str, object]) -> None:
    """No string of a file is taken for a comment."""
    text = json.dumps({**content, "image": "//,}/*"})
    assert Finding("image", "//,}/*") in list(devcontainer(text))


@pytest.mark.parametrize(
    "text", ['\\"' * 500_000, "/*" * 500_000, ", " * 500_000, '{"a":' * 200_000]
)
def test_no_file_keeps_it_busy(text: str) -> None:
    """The work grows with the length; with its square, these would take longer than a test may."""
    list(devcontainer('"' + text))
    list(devcontainer(text))
