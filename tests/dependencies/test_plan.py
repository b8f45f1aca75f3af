"""What is installed for a list of dependencies, and in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.dependencies.entry import Entry
from moat.dependencies.plan import EntryStep, PackagesStep, Step, ToolsStep, plan, title
from moat.errors import UsageError
from moat.spec.dependency import Dependency

ENTRIES = {
    each.id: each
    for each in (
        Entry(id="git", title="Git", kind="tool", apt=("git",)),
        Entry(id="jq", title="jq", kind="tool", apt=("jq",)),
        Entry(id="python", title="Python", kind="language", apt=("python3",)),
        Entry(
            id="node", title="Node.js", kind="language", default="22", requires=("python",), pip="n"
        ),
        Entry(id="rust", title="Rust", kind="language", requires=("cc",), apt=("rustc",)),
        Entry(id="cc", title="C", kind="tool", apt=("gcc",)),
        Entry(id="uv", title="uv", kind="program", requires=("python",), pip="uv"),
        Entry(id="old", title="Old", kind="program", requires=("node@9",), npm="old"),
        Entry(id="new", title="New", kind="program", requires=("node@20.10",), npm="new"),
        Entry(id="newer", title="Newer", kind="program", requires=("node@20.9",), npm="newer"),
        Entry(id="one", title="One", kind="program", requires=("two",), npm="one"),
        Entry(id="two", title="Two", kind="program", requires=("one",), npm="two"),
    )
}


def find(name: str) -> Entry:
    if name not in ENTRIES:
        raise UsageError(f"there is no dependency {name!r}")
    return ENTRIES[name]


def planned(*texts: str) -> tuple[Step, ...]:
    return plan([Dependency.parse(each) for each in texts], find)


def titles(*texts: str) -> list[str]:
    return [title(each) for each in planned(*texts)]


def test_what_changes_seldom_comes_first() -> None:
    """Tools, then languages, then programs, then packages; each after what it requires."""
    assert titles("npm:x@1", "uv", "apt:w", "node", "jq", "pip:y", "git") == [
        "git, jq",
        "python",
        "node@22",
        "uv",
        "apt:w",
        "npm:x@1",
        "pip:y",
    ]


def test_another_package_leaves_the_layers_before_it_as_they_are() -> None:
    """So a change rebuilds little."""
    before, after = planned("git", "node", "npm:x"), planned("git", "node", "npm:x", "npm:y")
    assert before[:-1] == after[:-1]
    assert after[-1] == PackagesStep("npm", (Dependency("npm", "x"), Dependency("npm", "y")))


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("apt:w", []),
        ("npm:x", ["python", "node@22"]),
        ("pip:y", ["python"]),
        ("uv:z", ["python", "uv"]),
        ("cargo:c", ["cc", "rust"]),
    ],
)
def test_a_package_brings_its_package_manager(text: str, needed: list[str]) -> None:
    """Nobody has to know what that needs."""
    assert titles(text) == [*needed, text]


def test_a_tool_in_a_version_is_a_step_of_its_own() -> None:
    """Its version is verified by itself."""
    assert planned("git@2.39", "jq") == (
        ToolsStep((ENTRIES["jq"],)),
        EntryStep(ENTRIES["git"], "2.39"),
    )


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        (("node",), "22"),
        (("node@18", "old", "new"), "18"),
        (("old", "new", "newer"), "20.10"),
        (("old",), "9"),
    ],
)
def test_the_version_of_what_is_required(wanted: tuple[str, ...], version: str) -> None:
    """The user's, or else the highest that is required, or else the usual one."""
    steps = planned(*wanted)
    assert EntryStep(ENTRIES["node"], version) in steps


def test_one_thing_in_two_versions_is_refused() -> None:
    """Neither would be what somebody has asked for."""
    with pytest.raises(UsageError, match="node@20 and node@22 exclude each other"):
        planned("node@20", "node@22")
    with pytest.raises(UsageError, match="exclude each other"):
        planned("npm:x@1", "npm:x@2")


def test_one_thing_twice_is_there_once() -> None:
    """The one that says more counts."""
    assert titles("node", "node@20", "node@20") == ["python", "node@20"]


def test_an_unknown_name_is_an_error() -> None:
    """It is the registry's."""
    with pytest.raises(UsageError, match="there is no dependency 'nodejs'"):
        planned("nodejs")


def test_a_circle_has_an_end() -> None:
    """A user's own entries may require each other."""
    assert sorted(titles("one")) == ["one", "two"]


@given(st.permutations(["git", "jq", "node@20", "uv", "npm:x", "npm:y@2", "pip:z", "apt:w", "new"]))
def test_the_order_of_the_list_decides_nothing(wanted: list[str]) -> None:
    """The same image is made, whoever sorts the list."""
    assert planned(*wanted) == planned(*sorted(wanted))
