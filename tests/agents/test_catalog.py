"""Agents that come with Moat, and files of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.agents import SHIPPED, catalog
from moat.errors import UsageError
from moat.providers import catalog as providers

if TYPE_CHECKING:
    from pathlib import Path

MINE = """\
id: mine
title: Mine
command: mine --chat
state: [.mine]
credentials: [.mine/login]
files:
  - path: .mine/settings.json
    kind: merged
    content: '{"theme": "dark"}'
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the user's own agents."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path))
    folder = tmp_path / catalog.AGENTS.folder
    folder.mkdir()
    return folder


def test_the_shipped_files_are_those_that_are_named() -> None:
    """A command line is read without looking for files, by the names in the package."""
    assert tuple(each.id for each in catalog.AGENTS.all() if each.builtin) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_agent_is_complete(name: str) -> None:
    """It says how it is installed, and its logins are providers that Moat knows."""
    agent = catalog.find(name)
    assert agent.install
    assert agent.tested or "Not tested" in agent.notes
    for each in agent.logins:
        assert providers.find(each.provider).id == each.provider


def test_a_file_of_the_user_adds_an_agent_or_replaces_one(own: Path) -> None:
    """Whoever has another agent, or another way to start a known one, needs no new Moat."""
    (own / "mine.yaml").write_text(MINE)
    (own / "claude.yaml").write_text(MINE.replace("mine", "claude"))
    assert catalog.find("mine").command == ("mine", "--chat")
    assert catalog.find("claude").command == ("claude", "--chat")
    assert {"mine", "codex"} <= {each.id for each in catalog.AGENTS.all()}


@pytest.mark.parametrize(
    ("name", "hint"), [("claud", "Did you mean claude?"), ("x/../y", "moat agents")]
)
def test_an_unknown_name_is_refused(name: str, hint: str) -> None:
    """A misspelt name is the most likely reason, and a path is no name."""
    with pytest.raises(UsageError) as refused:
        catalog.find(name)
    assert hint in str(refused.value.hint)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("title: Mine\n", ""), "title is missing"),
        (("id: mine", "id: other"), "its id is 'other'"),
        (("[.mine]", "[.mine, .mine/inner]"), "'.mine/inner' lies in '.mine'"),
        (("[.mine/login]", "[.other/login]"), "lies in no folder of state"),
        (("[.mine]", "[../x]"), "below the sandbox's home"),
        (('{"theme": "dark"}', "{theme"), "no JSON"),
        (('{"theme": "dark"}', "[1]"), "no JSON object"),
        (("kind: merged", "kind: always"), "always"),
        (("title: Mine", "env: {PATH: x}\ntitle: Mine"), "decides what programs"),
        (("title: Mine", "env: {NODE_OPTIONS: x}\ntitle: Mine"), "decides what programs"),
        (("title: Mine", "own_login: {LD_PRELOAD: x}\ntitle: Mine"), "decides what programs"),
        (("title: Mine", "hosts: ['a/b']\ntitle: Mine"), "not a host"),
        (("title: Mine", "logins: [{word: x}]\ntitle: Mine"), "provider is missing"),
    ],
)
def test_a_bad_file_is_refused_by_name(own: Path, change: tuple[str, str], error: str) -> None:
    """A clear line names the file and says what is wrong with it."""
    path = own / "mine.yaml"
    path.write_text(MINE.replace(*change))
    with pytest.raises(UsageError) as refused:
        catalog.AGENTS.load(path)
    text = f"{refused.value.summary} {refused.value.hint}"
    assert str(path) in text
    assert error in text
