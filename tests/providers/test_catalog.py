"""Providers that come with Moat, and files of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.errors import UsageError
from moat.providers import catalog

if TYPE_CHECKING:
    from pathlib import Path

MINE = """\
id: mine
title: Mine
inject:
  - hosts: ["api.mine.example"]
placeholders: {token: "mine_{alnum:20}"}
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the user's own providers."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path))
    folder = tmp_path / catalog.PROVIDERS.folder
    folder.mkdir()
    return folder


def test_all_shipped_files_are_valid() -> None:
    """A mistake in one of them would only be found by whoever uses it."""
    found = {each.id for each in catalog.PROVIDERS.all()}
    assert found >= {"github", "anthropic", "claude", "openai"}


def test_a_file_of_the_user_adds_a_provider(own: Path) -> None:
    """It is found by its name, and listed beside the others."""
    (own / "mine.yaml").write_text(MINE)
    assert catalog.find("mine").inject[0].hosts == ("api.mine.example",)
    assert "mine" in {each.id for each in catalog.PROVIDERS.all()}


def test_a_file_of_the_user_replaces_a_shipped_one(own: Path) -> None:
    """Who runs a service of their own under a known name says where it is."""
    (own / "github.yaml").write_text(MINE.replace("mine", "github"))
    assert catalog.find("github").inject[0].hosts == ("api.github.example",)


def test_an_alias_is_another_name() -> None:
    """Users know some providers by the names of their tools."""
    assert catalog.find("gh").id == "github"


def test_an_unknown_name_has_a_suggestion() -> None:
    """A misspelt name is the most likely reason."""
    with pytest.raises(UsageError) as refused:
        catalog.find("gihub")
    assert refused.value.hint == "Did you mean github?"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("title: Mine\n", ""), "title is missing"),
        (("id: mine", "id: other"), "its id is 'other'"),
        (("api.mine.example", "**"), "every host"),
        (("api.mine.example", "*.*"), "must end in the name of a domain"),
        (('hosts: ["api.mine.example"]', "value: x"), "hosts are missing"),
        (("mine_{alnum:20}", "mine"), "too few random characters"),
        (("mine_{alnum:20}", "{alnun:20}"), "is not known"),
        (("inject:", "injekt:"), "Did you mean"),
        (('inject:\n  - hosts: ["api.mine.example"]\n', ""), "inject is missing"),
        (("inject:\n", "env: {T: '{tokn}'}\ninject:\n"), "did you mean {token}?"),
        (("api.mine.example", "{site}.example"), "{site} is no field"),
        (("api.mine.example", "api.mine.example:8443"), "write ports: [8443]"),
        (("placeholders", "    name: Transfer_Encoding\nplaceholders"), "no credential"),
        (("placeholders", "    kind: query\nplaceholders"), "name is missing"),
        (
            ("placeholders", '    value: "a\\r\\nb: {token}"\nplaceholders'),
            "no request can carry",
        ),
        (("title: Mine", "title: &a [x]\nnotes: *a"), "aliases are not supported"),
        (("title: Mine", "env: {LD_PRELOAD: x}\ntitle: Mine"), "decides what programs"),
        (("title: Mine", 'files: [{path: "../x"}]\ntitle: Mine'), "below the sandbox's home"),
        (
            ("title: Mine", "obtain: {validation: {url: 'http://x.example'}}\ntitle: Mine"),
            "not an https:// address",
        ),
    ],
)
def test_a_bad_file_is_refused_by_name(own: Path, change: tuple[str, str], error: str) -> None:
    """A clear line names the file and says what is wrong with it."""
    path = own / "mine.yaml"
    path.write_text(MINE.replace(*change))
    with pytest.raises(UsageError) as refused:
        catalog.PROVIDERS.load(path)
    text = f"{refused.value.summary} {refused.value.hint}"
    assert str(path) in text
    assert error in text
