"""The registry: what comes with Moat, and files of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.dependencies import catalog
from moat.dependencies.plan import plan
from moat.errors import UsageError
from moat.spec.dependency import Dependency

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = [path.stem for path in sorted(catalog.ENTRIES.shipped.glob("*.yaml"))]
MINE = """\
id: mine
title: Mine
kind: tool
apt: [mine]
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the user's own entries."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path))
    folder = tmp_path / catalog.ENTRIES.folder
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_entry_is_complete(name: str) -> None:
    """It can be planned with all that it requires, and a package manager's needs are tools of ours."""
    entry = catalog.find(name)
    assert entry.title
    assert plan([Dependency("", name)], catalog.find)
    assert bool(entry.apt) == bool(entry.apk), "both distributions, or neither"


@pytest.mark.parametrize("kind", ["npm", "pip", "uv", "cargo", "go"])
def test_each_package_manager_is_in_the_registry(kind: str) -> None:
    """A package brings it along."""
    name = "example.com/x" if kind == "go" else "x"
    assert len(plan([Dependency(kind, name)], catalog.find)) > 1


def test_a_name_that_is_nearly_right() -> None:
    """The error says which was meant, or how to see all."""
    with pytest.raises(UsageError) as caught:
        catalog.find("ripgrp")
    assert caught.value.hint == "Did you mean ripgrep?"
    with pytest.raises(UsageError, match="there is no dependency") as caught:
        catalog.find("zzzzzz")
    assert caught.value.hint == "See: moat deps"


def test_a_file_of_the_user_adds_an_entry_or_replaces_one(own: Path) -> None:
    """Whoever needs another package by its own name needs no new Moat."""
    (own / "mine.yaml").write_text(MINE)
    (own / "git.yaml").write_text(MINE.replace("mine", "git"))
    assert catalog.find("mine").apt == ("mine",)
    assert not catalog.find("git").builtin


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("apt: []\n", "it says nowhere where it is had"),
        ("apt: ['mine; id']\n", "is no package of a distribution"),
        ("apt: [mine]\napt_version: [mine]\n", "has no {version} in it"),
        ("npm: https://example.com\n", "is no dependency"),
        ("pip: --mine\n", "is no dependency"),
        ("apt: [mine]\nrequires: ['npm:x']\n", "is no entry of the registry"),
        ("apt: [mine]\ndefault: latest\n", "is not a version of numbers"),
        ("apt: [mine]\ncheck: 'mine; id'\n", "is no plain word"),
        ("apt: [mine]\nlinks: {mine: ../x}\n", "is no path of a program"),
        ("apt: [mine]\nlinks: {'a b': x}\n", "is no name of a program"),
        ("apt: [mine]\nkind: toy\n", "given twice"),
    ],
)
def test_a_file_that_is_not_valid(own: Path, text: str, fault: str) -> None:
    """Its fault is told with the file, before anything is built."""
    (own / "mine.yaml").write_text(f"id: mine\ntitle: Mine\nkind: tool\n{text}")
    with pytest.raises(UsageError) as caught:
        catalog.find("mine")
    assert fault in caught.value.summary
    assert str(own / "mine.yaml") in caught.value.summary
