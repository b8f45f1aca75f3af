"""What one run needs of its agent."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from moat.agents import catalog
from moat.agents.launch import AgentLaunch, require_program, session_of
from moat.errors import UsageError
from moat.spec import Grant, McpServer

if TYPE_CHECKING:
    from pathlib import Path

RUN = "0123456789ab"


def launch(name: str, home: Path, **given: Any) -> AgentLaunch:
    return AgentLaunch(agent=catalog.find(name), home=home, pick=lambda ways: ways[-1], **given)


def test_a_credential_is_chosen_unless_one_is_named(tmp_path: Path) -> None:
    """Neither a grant of the user's nor a variable by which they log in is added to."""
    claude = launch("claude", tmp_path)
    assert claude.grants((), {}) == ("anthropic",)
    assert claude.grants(("github", "claude@work"), {}) == ()
    assert claude.grants(("github",), {"ANTHROPIC_API_KEY": "x"}) == ()


def test_a_new_session_has_a_name_made_from_the_run(tmp_path: Path) -> None:
    """So the run is resumed by its own name; one that goes on with the newest session isn't."""
    started = launch("claude", tmp_path).start(RUN, "/srv/app", (), {})
    assert started.setup.session == session_of(RUN) == str(uuid.UUID(session_of(RUN)))
    assert session_of(RUN) in started.command
    assert launch("claude", tmp_path, resume="").start(RUN, "/w", (), {}).setup.session == ""
    resumed = launch("codex", tmp_path, resume="abc").start(RUN, "/w", (), {})
    assert resumed.setup.session == "abc"
    assert resumed.command[-2:] == ("resume", "abc")


def test_files_are_filled_or_left_out(tmp_path: Path) -> None:
    """The key of a login in a file is the placeholder that the run has; without one, no file is made."""
    claude = launch("claude", tmp_path)
    grant = Grant(provider="anthropic", env={"ANTHROPIC_API_KEY": 'sk-"0123456789abcdefghij'})
    contents = [each.content for each in claude.start(RUN, "/w", (grant,), {}).setup.files]
    assert any('"approved": ["0123456789abcdefghij"]' in each for each in contents)
    contents = [each.content for each in claude.start(RUN, "/w", (), {}).setup.files]
    assert not any("approved" in each for each in contents)


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
def test_an_agent_is_told_of_its_mcp_servers(tmp_path: Path, name: str) -> None:
    """In a file of its settings, or on its command line."""
    server = McpServer(name="issues", scheme="https", host="a.test", port=443, path="/mcp")
    started = launch(name, tmp_path).start(RUN, "/w", (), {}, [server])
    told = [each.content for each in started.setup.files] + list(started.command)
    [where] = [each for each in told if "https://a.test:443/mcp" in each]
    assert "issues" in where


@pytest.mark.parametrize(
    ("grants", "env", "word"),
    [
        ((Grant(provider="gemini-cli"),), {}, "oauth-personal"),
        ((Grant(provider="github"), Grant(provider="gemini")), {}, "gemini-api-key"),
        ((), {"GOOGLE_API_KEY": "x"}, "vertex-ai"),
        ((), {}, None),
    ],
)
def test_the_login_has_the_agents_own_word(
    tmp_path: Path, grants: tuple[Grant, ...], env: dict[str, str], word: str | None
) -> None:
    """Gemini CLI asks how to log in unless its settings say so."""
    files = launch("gemini", tmp_path).start(RUN, "/w", grants, env).setup.files
    told = [each.content for each in files if "selectedType" in each.content]
    assert [word in each for each in told if word] == ([True] if word else [])
    assert len(told) == (word is not None)


def test_the_state_is_the_projects_and_a_fresh_run_has_none(tmp_path: Path) -> None:
    """Two projects share nothing, and the variables of shells lead into what lasts."""
    places = {
        launch("claude", tmp_path).start(RUN, path, (), {}).setup.state for path in ("/a", "/b")
    }
    assert len(places) == 2
    started = launch("claude", tmp_path, fresh=True).start(RUN, "/a", (), {})
    assert started.setup.state == ""
    assert any(
        started.env["HISTFILE"].endswith(f"{each}/history") for each in started.setup.folders
    )


def test_a_missing_program_is_named_with_its_installation(tmp_path: Path) -> None:
    """A fresh machine needs one command more."""
    agent = catalog.find("claude")
    with pytest.raises(UsageError) as refused:
        require_program(agent, str(tmp_path))
    assert refused.value.hint == "Install it: npm install -g @anthropic-ai/claude-code"
    (tmp_path / "claude").touch(mode=0o755)
    require_program(agent, f"/nowhere:{tmp_path}")
