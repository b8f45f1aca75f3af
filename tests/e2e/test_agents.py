"""`moat claude` and its like, with a shell script in the agent's place: what Moat does around it.

tests/e2e/agents has the real programs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Moat, Terminal

P = b"\x1f"
SCRIPT = """\
#!/bin/sh
echo "args: $*"
echo "key: $ANTHROPIC_API_KEY"
echo "login: $(cat ~/.claude/.credentials.json 2>&1)"
echo "kept: $(cat ~/.claude/kept 2>/dev/null)"
echo "shell: $HISTFILE"
date +%s%N >> ~/.claude/kept
echo secret > ~/.claude/.credentials.json
cat ~/.claude/rules/moat.md
echo >> ~/.claude/rules/moat.md
if [ -t 0 ]; then echo ready; read line; cat ~/.claude/rules/moat.md; read line; fi
"""


@pytest.fixture
def claude(moat: Moat, tmp_path: Path) -> Moat:
    """A command with the script on its PATH, and a home without any login."""
    programs, home = tmp_path / "bin", tmp_path / "home"
    programs.mkdir()
    home.mkdir()
    (programs / "claude").write_text(SCRIPT)
    (programs / "claude").chmod(0o755)
    moat.environment |= {
        "PATH": f"{programs}:{moat.environment['PATH']}",
        "HOME": str(home),
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/dev/null/bus",
    }
    return moat


def grant(moat: Moat) -> None:
    moat.ok("grant", "anthropic", "--from", "stdin", "--no-validate", stdin="sk-ant-api03-real")


def test_the_first_start_finds_a_login_and_offers_to_grant_it(
    claude: Moat, terminal: Callable[..., Terminal]
) -> None:
    """Nothing starts without an answer; whoever says no is told what to do."""
    window = terminal("claude", size=(100, 30), ANTHROPIC_API_KEY="sk-ant-api03-x")
    window.shows("there is no credential anthropic in the vault. Grant it now? [Y/n]")
    window.send(b"n\r")
    assert window.wait() != 0
    assert "moat grant anthropic" in window.screen.text()
    assert claude.runs() == []
    done = claude("claude", "-p", "x")
    assert done.returncode != 0
    assert "moat grant claude" in done.stderr


def test_a_missing_program_is_named_with_its_installation(claude: Moat) -> None:
    """One line, one remedy, and nothing is left."""
    done = claude("codex", "-p", "x")
    assert done.returncode == 2
    assert done.stderr == (
        "moat: Codex is not installed: there is no codex on your PATH\n"
        "      Install it: npm install -g @openai/codex\n"
    )
    assert claude.runs() == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("claude",), "Claude Code needs a terminal"),
        (("claude", "-c", "-r", "x", "-p", "y"), "exclude each other"),
        (("claude", "--ask", "--yolo", "-p", "y"), "exclude each other"),
        (("claude", "--fresh", "-c", "-p", "y"), "starts without any earlier session"),
        (("claude", "-r", "no/such", "-p", "y"), "no run"),
        (("claude", "one", "two"), "one argument is expected"),
        (("claud",), "Did you mean: moat claude?"),
        (("agents", "info", "claud"), "Did you mean claude?"),
        (("state", "show", "claude"), "has kept nothing"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_clear_line(
    claude: Moat, words: tuple[str, ...], error: str
) -> None:
    """Nothing is started."""
    done = claude(*words)
    assert done.returncode in {2, 125}
    assert error in done.stderr
    assert "Traceback" not in done.stderr
    assert claude.runs() == []


def test_what_is_kept_lasts_and_logins_dont(claude: Moat) -> None:
    """A second run finds what the first kept; a token that was left there is gone; --fresh has none."""
    grant(claude)
    first = claude.ok("claude", "-p", "hello", "-n", "one")
    assert "args: --dangerously-skip-permissions -p --session-id " in first
    assert "key: sk-ant-api03-" in first
    assert "sk-ant-api03-real" not in first
    assert "shell: /home/agent/.local/state/shell/history" in first
    [state] = claude.json("state", "list", "--json")
    left = Path(state["folder"]) / ".claude/.credentials.json"
    assert left.read_text() == "secret\n"
    second = claude.ok("claude", "-p", "hello", "--continue", "--ask")
    assert "args: -p --continue -- hello" in second
    assert "kept: 1" in second
    assert "login: secret" not in second
    fresh = claude.ok("claude", "-p", "hello", "--fresh")
    assert "kept: \n" in fresh
    assert claude.ok("state", "show", "claude").splitlines().count(".claude/kept") == 1
    claude.ok("state", "rm", "claude")
    assert claude.json("state", "list", "--json") == []


def test_a_run_is_resumed_by_its_name(claude: Moat) -> None:
    """Its session is known, unless it went on with the newest one."""
    grant(claude)
    first = claude.ok("claude", "-p", "hello", "-n", "one")
    session = first.partition("--session-id ")[2].split()[0]
    assert f"--resume {session}" in claude.ok("claude", "-p", "more", "-r", "one", "-n", "two")
    assert f"--resume {session}" in claude.ok("claude", "-p", "more", "-r", "two")
    claude.ok("claude", "-p", "more", "-c", "-n", "three")
    done = claude("claude", "-p", "more", "-r", "three")
    assert "nobody knows which session the run three had" in done.stderr


def test_the_guide_follows_the_policy_and_cant_be_written(
    claude: Moat, terminal: Callable[..., Terminal]
) -> None:
    """The agent sees a new rule at once; what it writes there is refused."""
    grant(claude)
    window = terminal("claude", "-n", "one", "--network-policy", "strict", size=(120, 200))
    window.shows("ready")
    assert "No other host may be reached." in window.screen.text()
    assert "cannot create" in window.screen.text()
    claude.ok("allow", "one", "new.example")
    window.send(b"\r")
    window.shows("- `allow new.example`")
    with_state = claude("state", "rm", "claude")
    assert "the run one uses it" in with_state.stderr
    window.send(P + b"d")
    assert window.wait() == 0
    done = claude("claude", "-p", "x", "-r", "one")
    assert "has not ended" in done.stderr


def test_an_agent_of_the_users_own_is_a_command(claude: Moat, tmp_path: Path) -> None:
    """It is listed, checked and started; a mistake in its file is named with its line."""
    (claude.home / "agents").mkdir(mode=0o700)
    file = claude.home / "agents" / "mine.yaml"
    mine: dict[str, Any] = {"id": "mine", "title": "Mine", "command": ["echo", "I am"]}
    file.write_text(json.dumps(mine | {"state": [".mine"], "hosts": ["api.example.com"]}))
    assert claude.ok("mine", "-p", "you") == "I am you\n"
    assert "mine" in claude.ok("agents")
    assert claude.ok("agents", "check", "mine") == "mine: ready\n"
    assert claude("agents", "check", "claude").returncode == 1
    file.write_text("id: mine\ntitel: x\n")
    done = claude("mine", "-p", "you")
    assert (done.returncode, "mine.yaml:2: unknown field 'titel'" in done.stderr) == (2, True)
