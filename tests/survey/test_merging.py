"""Lines put into the text of a file, whose comments and keys stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moat.config import agent_file, document
from moat.survey.merging import UnmergeableError, merged, new_text, scalar, with_lines
from moat.survey.proposal import Line

LINES = (
    Line(("dependencies",), "", "node@22", ".nvmrc"),
    Line(("env",), "MODE", "a: b", "x.json"),
    Line(("ports",), "web", "3000", "Dockerfile"),
    Line(("network", "allow"), "", "a.example", "lock"),
)


def content(text: str) -> dict[str, Any]:
    return document.parse(text.encode(), Path("agent.yaml"), agent_file.FIELDS)


def check(text: str) -> str:
    """Return the merged text, in which everything that was there is as it was, and the lines are new."""
    result = merged(text, LINES)
    assert content(result) == with_lines(content(text), LINES)
    before = text.splitlines()
    assert [each for each in result.splitlines() if each in before] == before
    return result


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing but this\n",
        "---\n# a\nname: x\n",
        "name: x",
        "name: x\r\ndependencies:\r\n  - git # why\r\n",
        "dependencies:\n- git\n- jq  # for tests\n\n# of the network\nnetwork:\n  policy: strict\n",
        "network:\n    # ours\n    allow:\n    -   b.example\n    # the end\nname: x\n",
        "network:\n  rules:\n    - deny c.example\n  allow:\n    - b.example\n",
        "env:\n  A: |\n    one\n    two\n\nname: x\n",
        "env:\n  A: >-\n    one\n\n    two",
        "env:\n  A:\nname: x\n",
        "env:\n  A: 'one\n\n    two'\n  # and\nname: x\n",
        "ports: # of servers\n  api: 8000 # why\n",
        'command: ["sh", "-c", "true"]\n',
    ],
)
def test_what_is_there_stays(text: str) -> None:
    """Every line of it, in its order, with its comments."""
    check(text)


def test_lines_of_a_list_that_is_there() -> None:
    """They follow its last item, in its indentation, before what comes next."""
    text = "dependencies:\n    - git  # why\n# of env\nenv:\n  A: 1\nname: x\n"
    assert check(text) == (
        "dependencies:\n    - git  # why\n    - node@22  # .nvmrc\n# of env\nenv:\n  A: 1\n"
        '  MODE: "a: b"  # x.json\nname: x\n'
        "ports:\n  web: 3000  # Dockerfile\nnetwork:\n  allow:\n    - a.example  # lock\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dependencies: [git, jq]  # why\n", "dependencies: [git, jq, node@22]  # why\n"),
        ("dependencies: [git,\n  jq,\n]\n", "dependencies: [git,\n  jq, node@22,\n]\n"),
        ("dependencies: []\n", "dependencies: [node@22]\n"),
    ],
)
def test_a_list_in_brackets(text: str, expected: str) -> None:
    """It stays one, without comments."""
    assert merged(text, LINES[:1]) == expected


def test_a_map_in_braces() -> None:
    """The same for a map."""
    assert merged("env: {A: b}\n", LINES[1:2]) == 'env: {A: b, MODE: "a: b"}\n'
    assert merged("env: {}\n", LINES[1:2]) == 'env: {MODE: "a: b"}\n'


@pytest.mark.parametrize("text", ["{name: x}\n", "network: {policy: strict}\n", "network:\n"])
def test_what_takes_no_lines(text: str) -> None:
    """A file in braces, and a field without a value."""
    with pytest.raises(UnmergeableError):
        merged(text, LINES[3:])


def test_a_new_file() -> None:
    """It has a heading, the lines, and suggestions as comments; it is valid without any of them."""
    text = new_text(LINES, ["one", "two: [x"])
    assert content(text) == with_lines({}, LINES)
    assert text.endswith("\n# Also found; it is for you to decide:\n# - one\n# - two: [x\n")
    assert content(new_text((), ())) == {}


@given(st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1))
def test_every_value_is_read_as_it_was(text: str) -> None:
    """Whatever a repository says is one value of a map, and a comment of a line."""
    line = Line(("env",), "A", text.replace("$", ""), text.replace("\u2028", ""))
    assert content(merged("", [line])) == {"env": {"A": line.value}}


@pytest.mark.parametrize(
    "text", ["yes", "null", "1e3", "0x10", "- a", "a #b", "@a", "a: b", "~", ""]
)
def test_what_is_put_in_quotes(text: str) -> None:
    """A text that YAML reads as something else."""
    assert scalar(text) == f'"{text}"'


NAMES = st.sampled_from(["git", "jq", "curl"])


@given(
    st.lists(NAMES, min_size=1, unique=True),
    st.integers(0, 6),
    st.sampled_from(["", " # why", "\n# more", "\n\n"]),
    st.booleans(),
)
def test_lists_in_all_shapes(names: list[str], indent: int, more: str, name_last: bool) -> None:
    """Any indentation, any comment, first or last in the file."""
    items = "".join(f"{' ' * indent}- {each}{more}\n" for each in names)
    text = f"dependencies:\n{items}"
    assume(content(text))
    check(f"{text}name: x\n" if name_last else f"name: x\n{text}")
