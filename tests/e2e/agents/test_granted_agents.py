"""Real agents that use their user's logins and keys, and hold placeholders alone."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from tests.e2e.agents.conftest import PROGRAMS, TURN_S
from tests.e2e.internet import Internet, never_shown
from tests.model_server import ACCOUNT, ModelServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat

pytestmark = pytest.mark.timeout(5 * TURN_S)

HOSTS: Final = (
    *("api.anthropic.com", "api.openai.com", "chatgpt.com"),
    *("generativelanguage.googleapis.com", "cloudcode-pa.googleapis.com"),
    *("oauth2.googleapis.com", "www.googleapis.com"),
)
SECRETS: Final = {
    name: f"TheReal{name.title().replace('_', '')}OfTheUser0123456789"
    for name in ("token", "refresh_token", "key")
}
# Without any `$`, which Gemini CLI takes for an attack.
TURN: Final = "RUN:expr 6 \\* 7 | tee made.txt; env; cat ~/.*/*.json"


def _jwt(claims: dict[str, Any]) -> str:
    """Return a token whose claims can be read, and whose signature is the secret part."""
    parts = [{"alg": "RS256", "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in parts]
    return b".".join(encoded).decode() + f".{SECRETS['token']}"


class Granted(NamedTuple):
    """An agent with one of the ways in which its user is logged in."""

    credential: str
    login: dict[str, Any]
    """The file of the agent's own login, by its path from home; empty where there is a key."""
    command: str
    host: str
    carries: tuple[str, str]
    """The header field that has the secret, and its value."""


_CLAUDE = "IS_SANDBOX=1 claude --dangerously-skip-permissions -p"
_CODEX = (
    "codex exec -m gpt-5 --dangerously-bypass-approvals-and-sandbox --skip-git-repo-check"
    " -c features.enable_request_compression=false"  # the model doesn't know zstd
)
_GEMINI = "GEMINI_CLI_TRUST_WORKSPACE=true gemini --yolo -p"
_FUTURE: Final = int(time.time() + 86400) * 1000
_ACCESS: Final = _jwt({"exp": _FUTURE // 1000, "https://api.openai.com/auth": {}})

AGENTS: Final = {
    "claude-login": Granted(
        "claude",
        {
            ".claude/.credentials.json": {
                "claudeAiOauth": {
                    "accessToken": SECRETS["token"],
                    "refreshToken": SECRETS["refresh_token"],
                    "expiresAt": _FUTURE,
                    "subscriptionType": "pro",
                }
            }
        },
        _CLAUDE,
        "api.anthropic.com",
        ("authorization", f"Bearer {SECRETS['token']}"),
    ),
    "claude-key": Granted(
        "anthropic", {}, _CLAUDE, "api.anthropic.com", ("x-api-key", SECRETS["key"])
    ),
    "codex-login": Granted(
        "codex",
        {
            ".codex/auth.json": {
                "tokens": {
                    "id_token": _ACCESS,
                    "access_token": _ACCESS,
                    "refresh_token": SECRETS["refresh_token"],
                    "account_id": ACCOUNT,
                }
            }
        },
        _CODEX,
        "chatgpt.com",
        ("authorization", f"Bearer {_ACCESS}"),
    ),
    "codex-key": Granted(
        "openai",
        {},
        f"printenv OPENAI_API_KEY | codex login --with-api-key && {_CODEX}",
        "api.openai.com",
        ("authorization", f"Bearer {SECRETS['key']}"),
    ),
    "gemini-login": Granted(
        "gemini-cli",
        {
            ".gemini/oauth_creds.json": {
                "access_token": SECRETS["token"],
                "refresh_token": SECRETS["refresh_token"],
                "expiry_date": _FUTURE,
            }
        },
        _GEMINI,
        "cloudcode-pa.googleapis.com",
        ("authorization", f"Bearer {SECRETS['token']}"),
    ),
    "gemini-key": Granted(
        "gemini",
        {},
        _GEMINI,
        "generativelanguage.googleapis.com",
        ("x-goog-api-key", SECRETS["key"]),
    ),
}


@pytest.fixture
def model(moat: Moat, tmp_path: Path) -> Iterator[ModelServer]:
    """The models under their real names, which all programs of the user reach."""
    home = tmp_path / "home"
    home.mkdir()
    with (
        Internet(tmp_path / "internet") as internet,
        ModelServer(internet.context(*HOSTS)) as server,
    ):
        for host in HOSTS:
            internet.lead(host, server.port)
        moat.environment |= internet.environment | {
            "HOME": str(home),
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/dev/null/bus",
            "PATH": f"{PROGRAMS}:{moat.environment['PATH']}",
        }
        moat.write_settings(internet.settings())
        yield server


@pytest.mark.parametrize("name", AGENTS)
def test_a_turn_with_placeholders_alone(
    moat: Moat, model: ModelServer, tmp_path: Path, name: str
) -> None:
    """The model gets what the user has granted; the agent's shell prints all that it can find."""
    granted = AGENTS[name]
    for path, login in granted.login.items():
        file = tmp_path / "home" / path
        file.parent.mkdir()
        file.write_text(json.dumps(login))
    words = ("grant", granted.credential, "--no-validate", "--from")
    if granted.login:
        moat.ok(*words, "cli")
    else:
        moat.ok(*words, "stdin", stdin=SECRETS["key"])

    script = f'{granted.command} "$1"'
    command = ("run", "--grant", granted.credential, "--", "bash", "-c", script, "agent", TURN)
    done = moat(*command, timeout=TURN_S)

    story = f"{done.stdout}\n{done.stderr}\n{[each[:2] for each in model.requests]}"
    assert done.returncode == 0, story
    assert (moat.workspace / "made.txt").exists(), story
    assert (moat.workspace / "made.txt").read_text() == "42\n"
    assert "The tool said" in done.stdout, story
    field, value = granted.carries
    asked = [fields for host, _, fields in model.requests if host == granted.host]
    assert any(fields.get(field) == value for fields in asked), story
    assert not any(each in done.stdout + done.stderr for each in SECRETS.values())
    never_shown((moat.home, moat.workspace), SECRETS.values())
