"""The names that members of an exported run may have."""

from __future__ import annotations

import pytest

from moat.archive.members import largest


@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "journal/main/00000000.stdout",
        "journal/exec-12/00000003.index",
        "exit/main.json",
    ],
)
def test_files_of_a_run_are_members(name: str) -> None:
    """Each with a size of its own."""
    assert largest(name) is not None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Run.json",
        "run.json\n",
        "run.json/",
        "./run.json",
        "journal/main/../00000000.stdout",
        "journal\\main\\00000000.stdout",
        "journal/other/00000000.stdout",
        "journal/main/0.stdout",
        "journal/main/" + "\u0660" * 8 + ".stdout",
        "exit/main.json\0.txt",
        "imported.json",
        "supervisor.lock",
        "spec.json.new",
        "private/x",
    ],
)
def test_nothing_else_is(name: str) -> None:
    """No name of a stranger's becomes a path."""
    assert largest(name) is None
