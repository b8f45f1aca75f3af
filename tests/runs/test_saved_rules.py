"""Rules that are saved for the later runs of a workspace."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest
from tests.full_disk import files_of_at_most

from moat.errors import StoreError
from moat.runs.saved_rules import all_saved_rules, forget_rules, save_rule, saved_rules

if TYPE_CHECKING:
    from pathlib import Path


def test_the_newest_rule_comes_first(tmp_path: Path) -> None:
    """A rule that is saved again moves to the front, and each workspace has its own."""
    for rule in ("allow a", "deny b", "allow a"):
        save_rule(tmp_path, "/one", rule)
    save_rule(tmp_path, "/two", "deny c")
    assert saved_rules(tmp_path, "/one") == ("allow a", "deny b")
    assert saved_rules(tmp_path, "/none") == ()
    assert all_saved_rules(tmp_path) == {"/one": ["allow a", "deny b"], "/two": ["deny c"]}
    assert stat.S_IMODE((tmp_path / "policies.json").stat().st_mode) == 0o600


def test_rules_are_forgotten_one_by_one_or_all(tmp_path: Path) -> None:
    """The answer names the rules that were there, and a workspace without rules disappears."""
    for rule in ("allow a", "allow b", "allow c"):
        save_rule(tmp_path, "/one", rule)
    assert forget_rules(tmp_path, "/one", "allow b") == ["allow b"]
    assert forget_rules(tmp_path, "/one", "allow b") == []
    assert forget_rules(tmp_path, "/one") == ["allow c", "allow a"]
    assert all_saved_rules(tmp_path) == {}


def test_a_full_disk_leaves_the_rules_of_before(tmp_path: Path) -> None:
    """The error says that the rule wasn't saved, and no rule is lost."""
    save_rule(tmp_path, "/one", "deny a")
    with files_of_at_most(8), pytest.raises(StoreError, match="can't be saved"):
        save_rule(tmp_path, "/one", "deny b")
    assert saved_rules(tmp_path, "/one") == ("deny a",)
    assert json.loads((tmp_path / "policies.json").read_text()) == {"/one": ["deny a"]}


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    """A denial may have been in it, so it isn't taken for an empty one, and stays as it is."""
    (tmp_path / "policies.json").write_text("{")
    with pytest.raises(StoreError, match=r"policies\.json can't be read"):
        saved_rules(tmp_path, "/one")
    with pytest.raises(StoreError, match=r"policies\.json can't be read"):
        save_rule(tmp_path, "/one", "deny a")
    assert (tmp_path / "policies.json").read_text() == "{"
