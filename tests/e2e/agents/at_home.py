"""Agents that are started by their names, with a key that was granted and a stand-in for the model."""

from __future__ import annotations

import json
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.forward_proxy import ForwardProxy
from tests.model_server import ModelServer

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator, Iterator

    from tests.e2e.conftest import Moat, Terminal

_FOLDER = Path(__file__).parents[3] / ".venv/agents"
PROGRAMS = _FOLDER / "node_modules/.bin"
_PYTHON_PROGRAMS = _FOLDER / "aider/bin"
# Big programs start, on machines that are busy with other tests.
TURN_S = 240.0
DROPPED_S = 10.0
"""Keys that a program hasn't shown by then were dropped."""


@dataclass(frozen=True, slots=True)
class Kind:
    """An agent, as this test knows it."""

    name: str
    provider: str
    host: str
    ready: str
    """A text that it shows when it takes a prompt."""
    words: tuple[str, ...] = ()
    """What it is told besides, for the sake of the stand-in."""
    begun: str = ""
    """A file, below the state, by which its sessions are known."""
    options: tuple[str, ...] = ()
    """Options that Moat is given besides."""


KINDS = {
    "claude": Kind(
        "claude",
        "anthropic",
        "api.anthropic.com",
        "bypass permissions on",
        begun=".claude/projects/-workspace/*.jsonl",
    ),
    # The stand-in knows the tools of this model.
    "codex": Kind(
        "codex",
        "openai",
        "api.openai.com",
        "gpt-5",
        ("--", "-m", "gpt-5"),
        begun=".codex/sessions/*/*/*/*.jsonl",
    ),
    "gemini": Kind(
        "gemini",
        "gemini",
        "generativelanguage.googleapis.com",
        "Type your message",
        begun=".gemini/tmp/*/chats/*",
    ),
}


@dataclass(frozen=True, slots=True)
class AtHome:
    """An agent that a user starts by its name, and who has granted it a key."""

    kind: Kind
    moat: Moat
    window: Callable[..., Terminal]
    model: ModelServer
    project: Path
    secret: str

    def open(self, run: str, *options: str) -> Terminal:
        """Its interface, ready for a prompt."""
        window = self.window(
            self.kind.name,
            *("-n", run, *self.kind.options, *options, *self.kind.words),
            size=(100, 40),
            cwd=self.project,
        )
        window.shows(self.kind.ready, TURN_S)
        return window

    def turn(self, window: Terminal, prompt: str, answer: str) -> None:
        for _ in range(10):  # Gemini CLI drops keys while it paints an earlier session
            window.send(prompt.encode())
            if self._is_typed(window, prompt):
                break
        for _ in range(20):  # and takes an Enter that comes with other keys for a new line
            window.send(b"\r")
            window.linger(2)
            if answer in window.screen.text():
                break
        window.shows(answer, TURN_S)

    def _is_typed(self, window: Terminal, prompt: str) -> bool:
        """Return whether the prompt can be seen, of which nothing tells where it was dropped."""
        deadline = time.monotonic() + DROPPED_S
        while time.monotonic() < deadline:
            window.linger(0.2)
            if prompt[:40] in window.screen.text().rpartition("> ")[2].replace("\n", ""):
                return True
        return False

    def state(self) -> Path:
        [found] = self.moat.json("state", "list", "--json")
        assert (found["agent"], found["project"]) == (self.kind.name, str(self.project))
        return Path(found["folder"])


AIDER = Kind("aider", "anthropic", "api.anthropic.com", "")
"""It edits files by its answers, and calls no tools."""
OTHERS = {
    "opencode": Kind("opencode", "anthropic", "api.anthropic.com", "ctrl+p commands"),
    "pi": Kind("pi", "anthropic", "api.anthropic.com", "0.0%"),
    # There is no stand-in for GitHub's own models, so it uses another one.
    "copilot": Kind(
        "copilot",
        "anthropic",
        "api.anthropic.com",
        "/ commands",
        options=(
            *("--grant", "anthropic", "-e", "COPILOT_PROVIDER_API_KEY=placeholder"),
            *("-e", "COPILOT_PROVIDER_BASE_URL=https://api.anthropic.com"),
            *("-e", "COPILOT_PROVIDER_TYPE=anthropic", "-e", "COPILOT_MODEL=claude-sonnet-4.5"),
        ),
    ),
}
"""Agents of which less is tested than of those above."""


@pytest.fixture(params=KINDS)
def at_home(
    request: pytest.FixtureRequest, moat: Moat, terminal: Any, project: Path, tmp_path: Path
) -> Iterator[AtHome]:
    with _at_home(KINDS[request.param], moat, terminal, project, tmp_path) as found:
        yield found


@pytest.fixture(params=OTHERS)
def other(
    request: pytest.FixtureRequest, moat: Moat, terminal: Any, project: Path, tmp_path: Path
) -> Iterator[AtHome]:
    with _at_home(OTHERS[request.param], moat, terminal, project, tmp_path) as found:
        yield found


@pytest.fixture
def aider(moat: Moat, terminal: Any, project: Path, tmp_path: Path) -> Iterator[AtHome]:
    with _at_home(AIDER, moat, terminal, project, tmp_path) as found:
        yield found


@contextmanager
def _at_home(
    kind: Kind, moat: Moat, terminal: Any, project: Path, tmp_path: Path
) -> Generator[AtHome]:
    if not any((each / kind.name).exists() for each in (PROGRAMS, _PYTHON_PROGRAMS)):
        pytest.fail(f"{kind.name} is not installed: make agents", pytrace=False)
    home = tmp_path / "home"
    home.mkdir()
    # Where Gemini CLI gives a command a terminal of its own, it may take its end for that of the output.
    plain = {"tools": {"shell": {"enableInteractiveShell": False}}}
    (project / ".gemini").mkdir()
    (project / ".gemini" / "settings.json").write_text(json.dumps(plain))
    (home / ".gitconfig").write_text("[user]\n\tname = Somebody\n\temail = s@example.org\n")
    folder = tmp_path / "authority"
    folder.mkdir()
    authority = CertificateAuthority.load_or_create(folder)
    (folder / "ca.pem").write_bytes(authority.certificate_pem)
    moat.write_settings(json.dumps({"network": {"upstream_ca": str(folder / "ca.pem")}}))
    secret = f"sk-the-real-key-for-{kind.name}"
    with (
        ModelServer(_of_every_host(authority)) as model,
        ForwardProxy(socket.create_server(("127.0.0.1", 0)), model.port) as proxy,
    ):
        moat.environment |= {
            "PATH": f"{PROGRAMS}:{_PYTHON_PROGRAMS}:{moat.environment['PATH']}",
            "HOME": str(home),
            "HTTPS_PROXY": proxy.url,
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/dev/null/bus",
        }
        moat.ok("grant", kind.provider, "--from", "stdin", "--no-validate", stdin=secret)
        yield AtHome(kind, moat, terminal, model, project, secret)


def _of_every_host(authority: CertificateAuthority) -> ssl.SSLContext:
    """Return a context that has a certificate for whichever host a client names."""

    def choose(connection: ssl.SSLObject, name: str, _context: ssl.SSLContext) -> None:
        connection.context = authority.context(name, ("http/1.1",))

    context = authority.context("model.test", ("http/1.1",))
    context.sni_callback = choose  # type: ignore[assignment]
    return context
