"""The logins of providers' own programs, and the order in which ways are tried."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from moat.credentials.obtaining import logins
from moat.credentials.obtaining.obtain import obtain
from moat.credentials.obtaining.validation import CredentialRefusedError
from moat.errors import MoatError, UsageError
from moat.ground import programs
from moat.providers.recipe import LoginCommand, LoginFile, Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.oauth_server import OAuthServer

TOKEN = "a-token-that-nobody-may-see"


class Listener:
    """What the user is told."""

    def __init__(self) -> None:
        self.refusals: list[str] = []

    def refused(self, error: MoatError) -> None:
        self.refusals.append(error.summary)

    def page(self, url: str) -> None:
        raise AssertionError(url)

    def code(self, invitation: object) -> None:
        raise AssertionError(invitation)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("EXAMPLE_TOKEN", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("form", "content", "pointer"),
    [
        ("json", json.dumps({"a": {"b": TOKEN}}), "a/b"),
        ("yaml", f"a:\n  b: {TOKEN}\n", "a/b"),
        ("ini", f"[a]\nb = {TOKEN}\n", "a/b"),
        ("ini", f"[DEFAULT]\nb = {TOKEN}\n", "DEFAULT/b"),
        ("toml", f'[a]\nb = "{TOKEN}"\n', "a/b"),
        ("text", f"{TOKEN}\n", "text"),
    ],
)
def test_files_have_many_forms(home: Path, form: str, content: str, pointer: str) -> None:
    """The secret is found in each, and the file is named."""
    (home / "login").write_text(content)
    file = LoginFile(path="~/login", format=form, fields={"token": pointer})
    found = logins.find(Recipe(provider="x", title="X", files=(file,)))
    assert found is not None
    assert found.fields == {"token": TOKEN}
    assert found.origin == str(home / "login")


@pytest.mark.parametrize("form", ["json", "yaml", "ini", "toml"])
@pytest.mark.parametrize("content", ["{[" + TOKEN, "\t- : " + TOKEN, "[" * 100_000])
def test_a_damaged_file_is_named_and_not_quoted(home: Path, form: str, content: str) -> None:
    """No parser's message, which would quote the secret, is passed on."""
    (home / "login").write_text(content)
    file = LoginFile(path="~/login", format=form, fields={"token": "a"})
    with pytest.raises(UsageError, match="can't be read as") as caught:
        logins.find(Recipe(provider="x", title="X", files=(file,)))
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_yaml_bomb_is_harmless(home: Path) -> None:
    """Aliases are references: nothing grows, and nothing is found."""
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    (home / "login").write_text("\n".join(lines))
    file = LoginFile(path="~/login", format="yaml", fields={"token": "a39"})
    assert logins.find(Recipe(provider="x", title="X", files=(file,))) is None


@pytest.mark.parametrize("content", ["{}", "[]", '"x"', '{"a": ""}', '{"a": {"b": 1}}', "null"])
def test_a_file_without_a_login_is_passed_over(home: Path, content: str) -> None:
    """A program that nobody is logged in to leaves such files."""
    (home / "login").write_text(content)
    file = LoginFile(path="~/login", fields={"token": "a"})
    assert logins.find(Recipe(provider="x", title="X", files=(file,))) is None


def test_a_path_may_have_variables(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that isn't set makes it no path, unless it has a default."""
    (home / "login").write_text(json.dumps({"a": TOKEN, "end": 1_700_000_000_000}))
    monkeypatch.delenv("EXAMPLE_HOME", raising=False)
    for path, is_found in (
        ("${EXAMPLE_HOME}/login", False),
        ("$EXAMPLE_HOME/login", False),
        ("${EXAMPLE_HOME:-~}/login", True),
    ):
        file = LoginFile(path=path, fields={"token": "a"}, expires="end")
        found = logins.find(Recipe(provider="x", title="X", files=(file,)))
        assert (found is not None) is is_found
        assert found is None or found.expires_at == 1_700_000_000.0
    monkeypatch.setenv("EXAMPLE_HOME", str(home))
    file = LoginFile(path="$EXAMPLE_HOME/login", fields={"token": "a"})
    assert logins.find(Recipe(provider="x", title="X", files=(file,))) is not None


@pytest.fixture
def tool(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A provider's program in a folder of the system's."""
    folder = home / "system"
    folder.mkdir()
    monkeypatch.setattr(programs, "PLACES", (str(folder),))
    return folder / "tool"


def _write(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_program_is_asked(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the variables that it needs, and none of the others that could choose its code."""
    monkeypatch.setenv("TOOL_DIR", "kept")
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("SECRET_OF_OTHERS", "x")
    _write(tool, 'echo "$1:$TOOL_DIR:$SECRET_OF_OTHERS"')
    command = LoginCommand(program="tool", arguments=("token",), variables=("TOOL_DIR",))
    found = logins.find(Recipe(provider="x", title="X", commands=(command,)))
    assert found is not None
    assert found.fields == {"token": "token:kept:"}
    assert found.origin == "tool token"


@pytest.mark.parametrize("text", ["exit 1", "true", "echo nobody >&2; exit 4", "echo x; exit 1"])
def test_a_program_without_a_login_is_passed_over(tool: Path, text: str) -> None:
    """A failure means that nobody is logged in."""
    _write(tool, text)
    command = LoginCommand(program="tool", arguments=())
    assert logins.find(Recipe(provider="x", title="X", commands=(command,))) is None


def test_json_of_a_program_is_read(tool: Path) -> None:
    """Fields are where the provider says, and other output is none."""
    command = LoginCommand(program="tool", arguments=(), fields={"token": "t/x"})
    recipe = Recipe(provider="x", title="X", commands=(command,))
    _write(tool, f"""echo '{{"t": {{"x": "{TOKEN}"}}}}'""")
    found = logins.find(recipe)
    assert found is not None
    assert found.fields == {"token": TOKEN}
    _write(tool, f"echo {TOKEN}")
    assert logins.find(recipe) is None


def test_no_program_of_path_is_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run could have put one into a folder that PATH names."""
    _write(home / "tool", f"echo {TOKEN}")
    monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")
    command = LoginCommand(program="tool", arguments=())
    assert logins.find(Recipe(provider="x", title="X", commands=(command,))) is None


def test_a_stale_variable_doesnt_hide_a_good_login(
    home: Path, provider: OAuthServer, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the provider refuses is told, and the next way is tried."""
    provider.accepted.add(TOKEN)
    monkeypatch.setenv("EXAMPLE_TOKEN", "stale")
    (home / "login").write_text(json.dumps({"a": TOKEN}))
    recipe = replace(recipe, files=(LoginFile(path="~/login", fields={"token": "a"}),))
    listener = Listener()
    found = obtain(recipe, None, listener, validate=True)
    assert found.fields == {"token": TOKEN}
    assert found.attributes["account"] == "octo"
    assert len(listener.refusals) == 1
    assert "EXAMPLE_TOKEN" in listener.refusals[0]
    with pytest.raises(CredentialRefusedError, match="EXAMPLE_TOKEN"):
        obtain(recipe, "env", listener, validate=True)
    assert obtain(recipe, None, listener, validate=False).fields == {"token": "stale"}


def test_where_it_was_looked_for_is_told(recipe: Recipe) -> None:
    """Without a terminal nobody is asked, and the places are named."""
    with pytest.raises(UsageError, match=r"looked at: EXAMPLE_TOKEN\)"):
        obtain(recipe, None, Listener(), validate=True)
    with pytest.raises(UsageError, match="can't come from cli"):
        obtain(recipe, "cli", Listener(), validate=True)


def test_only_the_way_that_was_named_is_told() -> None:
    """A program's login has nothing to do with variables; the hint is about that way, too."""
    recipe = Recipe(
        provider="example",
        title="Example",
        variables=({"token": ("EXAMPLE_TOKEN",)},),
        files=(LoginFile(path="${EXAMPLE_DIR:-~/.example}/login", fields={"token": "token"}),),
    )
    with pytest.raises(UsageError, match=r"\(looked at: ~/\.example/login\)") as told:
        obtain(recipe, "cli", Listener(), validate=True)
    assert "Log in with the provider's own program" in str(told.value.hint)
    with pytest.raises(UsageError, match=r"\(looked at: EXAMPLE_TOKEN\)") as told:
        obtain(recipe, "env", Listener(), validate=True)
    assert "Set one of these variables" in str(told.value.hint)


def test_a_refusal_is_told_once(
    recipe: Recipe, provider: OAuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is nothing else, the error says that, and what to do."""
    monkeypatch.setenv("EXAMPLE_TOKEN", "stale")
    listener = Listener()
    with pytest.raises(CredentialRefusedError, match="no other credential of Example was found"):
        obtain(recipe, None, listener, validate=True)
    assert len(listener.refusals) == 1
