"""Real agents in runs, which talk to `tests.model_server` in the place of their models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from tests.e2e.agents.at_home import PROGRAMS, TURN_S, aider, at_home, other
from tests.model_server import ModelServer

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from subprocess import CompletedProcess

    from tests.e2e.conftest import Moat, Terminal

__all__ = ["PROGRAMS", "TURN_S", "aider", "at_home", "other"]

_KEY: Final = "sk-a-key-of-nobody"


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent, as a user has installed it with npm and has used it before."""

    name: str
    moat: Moat
    window: Callable[..., Terminal]
    environment: tuple[str, ...]
    settings: str
    """The path of its settings, from its home."""
    print_mode: tuple[str, ...]
    """The words with which it answers one prompt and ends."""
    interactive: tuple[str, ...]
    inline_variables: tuple[str, ...]
    inline_options: tuple[str, ...]
    """What makes it paint on the main screen."""
    ready: str
    """A text that it shows when it takes a prompt."""
    leave: str
    """The prompt that ends it."""

    def ask(self, prompt: str) -> CompletedProcess[str]:
        """One turn without a terminal."""
        words = self._run("-n", "x", "--", *self._command(*self.print_mode, prompt))
        return self.moat(*words, timeout=TURN_S)

    def open(self, size: tuple[int, int] = (100, 30), *, inline: bool = False) -> Terminal:
        """Its interface, in a window and ready for a prompt; with `inline` on the main screen."""
        variables = self.inline_variables if inline else ()
        options = self.inline_options if inline else ()
        command = self._command(*self.interactive, *options)
        words = self._run("-i", "-n", "x", *variables, "--", *command)
        window = self.window(*words, size=size)
        window.shows(self.ready, TURN_S)
        return window

    def attach(self, size: tuple[int, int] = (100, 30)) -> Terminal:
        return self.window("attach", "x", size=size)

    def type(self, window: Terminal, prompt: str) -> None:
        """Type a prompt, see it, and press Enter."""
        window.send(prompt.encode())
        window.shows(prompt)
        window.send(b"\r")

    def _run(self, *words: str) -> tuple[str, ...]:
        variables = [word for variable in self.environment for word in ("-e", variable)]
        return ("run", *variables, *words)

    def _command(self, *words: str) -> tuple[str, ...]:
        folder = str(Path(self.settings).parent)
        script = f'mkdir -p ~/{folder}; cp settings ~/{self.settings}; exec {self.name} "$@"'
        return ("sh", "-c", script, self.name, *words)


@pytest.fixture
def model(moat: Moat) -> Iterator[ModelServer]:
    """The model, which runs of `moat` reach as model.test."""
    authority = CertificateAuthority.load_or_create(moat.home.parent)
    with ModelServer(authority.context("model.test", ("http/1.1",))) as server:
        (moat.workspace / "ca.pem").write_bytes(authority.certificate_pem)
        network = {
            "hosts": {"model.test": "127.0.0.1"},
            "private": ["127.0.0.0/8"],
            "upstream_ca": "ca.pem",
            "policy": "strict",
            "rules": [f"allow model.test:{server.port}"],
        }
        (moat.workspace / "agent.yaml").write_text(yaml.safe_dump({"network": network}))
        moat.trust_projects()
        yield server


@pytest.fixture(params=["claude", "codex"])
def agent(request: pytest.FixtureRequest, moat: Moat, terminal: Any, model: ModelServer) -> Agent:
    if not (PROGRAMS / request.param).exists():
        pytest.fail(f"{request.param} is not installed: make agents", pytrace=False)
    moat.environment["PATH"] = f"{PROGRAMS}:{moat.environment['PATH']}"
    make = {"claude": _claude, "codex": _codex}[request.param]
    return make(moat, terminal, f"https://model.test:{model.port}")


def _claude(moat: Moat, window: Any, url: str) -> Agent:
    known = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
    settings = {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "bypassPermissionsModeAccepted": True,
        "customApiKeyResponses": {"approved": [_KEY[-20:]], "rejected": []},
        "projects": {"/workspace": known},
    }
    (moat.workspace / "settings").write_text(json.dumps(settings))
    variables = (
        f"ANTHROPIC_BASE_URL={url}",
        f"ANTHROPIC_API_KEY={_KEY}",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
        "DISABLE_AUTOUPDATER=1",
        "IS_SANDBOX=1",  # else it refuses to go on without asking where tests run as root
    )
    unasked = "--dangerously-skip-permissions"
    return Agent(
        name="claude",
        moat=moat,
        window=window,
        environment=variables,
        settings=".claude.json",
        print_mode=(unasked, "-p"),
        interactive=(unasked,),
        inline_variables=("-e", "CLAUDE_CODE_DISABLE_ALTERNATE_SCREEN=1"),
        inline_options=(),
        ready="bypass permissions on",
        leave="/exit",
    )


def _codex(moat: Moat, window: Any, url: str) -> Agent:
    settings = f"""\
model = "gpt-5"
model_provider = "test"
check_for_update_on_startup = false
[model_providers.test]
name = "test"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "TEST_KEY"
[projects."/workspace"]
trust_level = "trusted"
"""
    (moat.workspace / "settings").write_text(settings)
    unasked = "--dangerously-bypass-approvals-and-sandbox"
    return Agent(
        name="codex",
        moat=moat,
        window=window,
        environment=(f"TEST_KEY={_KEY}",),
        settings=".codex/config.toml",
        print_mode=("exec", unasked, "--skip-git-repo-check"),
        interactive=(unasked,),
        inline_variables=(),
        inline_options=("--no-alt-screen",),
        ready="gpt-5",
        leave="/quit",
    )
