"""A run plants a file for the next one, and the user who is asked about it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.origin import Origin

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat, Terminal

PROMPT = rb"\[d\]iff: "
KEY = "key-of-the-user"


def plant(moat: Moat, text: str, name: str = "agent.yaml") -> None:
    """Have a run write the file, as a hostile command would."""
    moat.ok("run", "-i", "--", "sh", "-c", f"cat > {name}", stdin=text)
    assert (moat.workspace / name).read_text() == text


def names(moat: Moat) -> list[str]:
    return [run["name"] for run in moat.runs()]


def asked(moat: Moat, terminal: Callable[..., Terminal], text: str, *command: str) -> Terminal:
    """Open a window in which `moat run` asks about a project with this file."""
    (moat.workspace / "agent.yaml").write_text(text)
    window = terminal("run", "-n", "x", *command, size=(120, 50))
    window.expect(PROMPT)
    return window


@pytest.fixture
def attacker(moat: Moat, tmp_path: Path) -> Iterator[Origin]:
    """A server of the attacker's that claims to be api.test, by an authority of its own."""
    folder = tmp_path / "ca"
    folder.mkdir()
    authority = CertificateAuthority.load_or_create(folder)
    (moat.workspace / "ca.pem").write_bytes(authority.certificate_pem)
    with Origin(authority.context("api.test", ("http/1.1",))) as origin:
        yield origin


def network_of(attacker: Origin) -> dict[str, Any]:
    return {
        "hosts": {"api.test": "127.0.0.1"},
        "private": ["127.0.0.0/8"],
        "upstream_ca": "ca.pem",
        "allow": [f"api.test:{attacker.port}"],
    }


def call(attacker: Origin) -> list[str]:
    """Return the command of a user who sends a key to a host."""
    url = f"https://api.test:{attacker.port}/plain"
    return ["sh", "-c", f'curl -sS -m 300 -H "Authorization: Bearer $KEY" {url}']


@pytest.mark.parametrize("name", ["agent.yaml", "moat.yaml"])
@pytest.mark.parametrize("trusted", [[], ["--trust-project"]], ids=["unasked", "trusted"])
def test_a_key_does_not_go_to_the_attacker(
    moat: Moat, attacker: Origin, name: str, trusted: list[str]
) -> None:
    """The user allows a host and passes a key; the file says that the host is somewhere else.

    Not even consent to the file gives the user's host another address.
    """
    plant(moat, json.dumps({"network": network_of(attacker)}), name)
    allowed = ("--allow", f"api.test:{attacker.port}", "--network-policy", "strict")
    done = moat("run", "-n", "x", "-e", f"KEY={KEY}", *allowed, *trusted, "--", *call(attacker))
    assert done.returncode == (2 if trusted else 3)
    assert attacker.heads == []
    assert "x" not in names(moat)


def test_an_authority_that_was_planted_vouches_for_nobody(moat: Moat, attacker: Origin) -> None:
    """With an address of the user's own, the project's authority doesn't make the server that host."""
    ours = {"hosts": {"api.test": "127.0.0.1"}, "private": ["127.0.0.0/8"]}
    moat.write_settings(json.dumps({"network": ours}))
    plant(moat, json.dumps({"network": {"upstream_ca": "ca.pem", "allow": ["**"]}}))
    options = ("-e", f"KEY={KEY}", "--allow", f"api.test:{attacker.port}", "--trust-project")
    done = moat("run", *options, "--", *call(attacker))
    assert "its certificate is not valid here" in done.stdout
    assert attacker.heads == []


def test_a_project_that_is_trusted_reaches_its_own_hosts(moat: Moat, attacker: Origin) -> None:
    """With consent, and without words of the user's about the host, the file says what the host is."""
    (moat.workspace / "agent.yaml").write_text(json.dumps({"network": network_of(attacker)}))
    moat.ok("trust")
    assert moat.ok("run", "-e", "KEY=x", "--", *call(attacker)) == "hello from /plain"


@pytest.mark.parametrize(
    "text",
    [
        "env: {LD_PRELOAD: /workspace/evil.so}",
        "env: {NODE_OPTIONS: --require /workspace/evil.js}",
        "command: [sh, -c, touch marker]",
        "interactive: true",
        "mounts: ['evil:/usr/local/bin']",
        "network: {private: [127.0.0.0/8]}",
        "network: {rules: ['allow evil.test']}",
        "network: {passthrough: [api.test]}",
        "network: {tcp: ['evil.test:22']}",
    ],
)
def test_the_next_run_obeys_nothing_that_was_planted(moat: Moat, text: str) -> None:
    """The user gives the same command line as before. Two lines say what there is, and how to look."""
    (moat.workspace / "evil").mkdir()
    plant(moat, text)
    command = () if text.startswith("command") else ("--", "touch", "marker")
    done = moat("run", "-n", "x", *command)
    assert done.returncode == 3
    assert f"{moat.workspace}/agent.yaml opens 1 thing that nobody has agreed to: " in done.stderr
    assert f"      Look: moat trust --show {moat.workspace}; agree: " in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert "x" not in names(moat)
    assert not (moat.workspace / "marker").exists()


@pytest.mark.parametrize("option", ["-d", "-i"])
def test_a_script_is_not_asked(moat: Moat, option: str) -> None:
    """Nobody is there to answer, and what a script pipes to the command is no answer."""
    (moat.workspace / "agent.yaml").write_text("env: {A: '1'}")
    assert moat("run", option, "--", "true", stdin="y\na\n").returncode == 3
    assert moat.runs() == []


@pytest.mark.parametrize(
    ("change", "new"),
    [
        ("s/one/two/", "env: A=two"),
        ("/deny/d", "no longer network.rules: deny evil.test"),
        ("/policy/d", "no longer network.policy: at least ask"),
        ("s/deny .*/deny other.test/", "no longer network.rules: deny evil.test"),
    ],
)
def test_what_a_run_changed_after_consent_is_new(moat: Moat, change: str, new: str) -> None:
    """The user agreed to the file as it was, with its restrictions."""
    (moat.workspace / "agent.yaml").write_text(
        "env:\n  A: one\nnetwork:\n  policy: ask\n  rules:\n  - deny evil.test\n  - allow **.test\n"
    )
    moat.ok("trust")
    moat.ok("run", "--writable-git", "--", "sed", "-i", change, "agent.yaml")
    done = moat("run", "--", "true")
    assert done.returncode == 3
    assert done.stderr.splitlines()[0].endswith(f"agreed to: {new}")


def test_what_a_run_takes_from_the_next_needs_no_consent(moat: Moat) -> None:
    """It narrows, and the file opens no more than before."""
    (moat.workspace / "agent.yaml").write_text("env: {A: one, B: two}\n")
    moat.ok("trust")
    script = "echo 'exclude: [secret]\nenv: {B: two}\nnetwork: {rules: [deny b.test]}' > agent.yaml"
    moat.ok("run", "--writable-git", "--", "sh", "-c", script)
    assert moat.ok("run", "--", "sh", "-c", "echo $A$B") == "two\n"


def test_a_certificate_that_was_replaced_is_new(
    moat: Moat, attacker: Origin, tmp_path: Path
) -> None:
    """The name of its file is the same."""
    network = network_of(attacker)
    (moat.workspace / "agent.yaml").write_text(json.dumps({"network": network}))
    moat.ok("trust")
    moat.ok("run", "--", "true")
    other = CertificateAuthority.load_or_create(tmp_path)
    (moat.workspace / "ca.pem").write_bytes(other.certificate_pem)
    done = moat("run", "--", "true")
    assert (done.returncode, "network.upstream_ca: certificate" in done.stderr) == (3, True)


def test_consent_belongs_to_the_folder(moat: Moat) -> None:
    """A link to it is the same folder; a folder that was moved is another."""
    (moat.workspace / "agent.yaml").write_text("env: {A: '1'}")
    moat.ok("trust")
    link, moved = (moat.workspace.with_name(name) for name in ("link", "moved"))
    link.symlink_to(moat.workspace)
    moat.ok("run", link, "--", "true")
    shutil.copytree(moat.workspace, moved)
    assert moat("run", moved, "--", "true").returncode == 3


# --- on a terminal ---


def test_a_yes_starts_the_run_once(moat: Moat, terminal: Callable[..., Terminal]) -> None:
    """The run gets what was asked about, and the next one is asked again."""
    window = asked(moat, terminal, "env: {A: one}", "--", "sh", "-c", "echo got $A")
    assert moat.runs() == []
    window.send(b"y\n")
    window.expect(rb"got one")
    assert window.wait() == 0
    assert moat("run", "--", "true").returncode == 3


def test_always_is_remembered(moat: Moat, terminal: Callable[..., Terminal]) -> None:
    """The next run asks about what is new since then, and nothing else."""
    window = asked(moat, terminal, "env: {A: one}", "--", "true")
    window.send(b"always\n")
    assert window.wait() == 0
    moat.ok("run", "--", "true")
    window = asked(moat, terminal, "env: {A: one, B: two}", "-d", "--", "true")
    screen = window.screen.text()
    assert "opens 1 thing beyond what you have agreed to:\n  env: B=two\n" in screen
    window.send(b"n\n")
    assert window.wait() == 3


@pytest.mark.parametrize("typed", [b"n\n", b"no\n", b"\x04", b"y\x04"])
def test_a_no_starts_nothing(moat: Moat, terminal: Callable[..., Terminal], typed: bytes) -> None:
    """The end of the input is a no, also behind an answer that was not finished."""
    window = asked(moat, terminal, "env: {A: one}", "--", "true")
    window.send(typed)
    assert window.wait() == 3
    assert "nothing was started" in window.screen.text()
    assert moat.runs() == []


def test_an_interrupt_starts_nothing(moat: Moat, terminal: Callable[..., Terminal]) -> None:
    """Ctrl-C ends the command as it ends others."""
    window = asked(moat, terminal, "env: {A: one}", "--", "true")
    window.send(b"\x03")
    assert window.wait() in {130, -signal.SIGINT}
    assert moat.runs() == []


def test_anything_else_asks_again(moat: Moat, terminal: Callable[..., Terminal]) -> None:
    """Enter alone agrees to nothing."""
    window = asked(moat, terminal, "env: {A: one}", "--", "true")
    for typed in (b"\n", b"maybe\n", b"yy\n"):
        window.send(typed)
        window.expect(PROMPT)
    window.send(b"Y\n")
    assert window.wait() == 0


def test_the_difference_is_shown(moat: Moat, terminal: Callable[..., Terminal]) -> None:
    """What was agreed to and what is opened now, with the restrictions."""
    (moat.workspace / "agent.yaml").write_text(
        "network: {rules: ['deny a.com', 'allow a.com', 'allow b.com']}"
    )
    moat.ok("trust")
    text = "network: {rules: ['allow a.com', 'deny a.com', 'allow b.com', 'allow c.com']}"
    window = asked(moat, terminal, text, "--", "true")
    screen = window.screen.text()
    assert "opens 2 things beyond what you have agreed to:" in screen
    assert "network.rules: allow c.com\n" in screen
    assert "no longer network.rules: deny a.com\n" in screen
    window.send(b"d\n")
    window.expect(PROMPT)
    shown = window.screen.text()
    assert "--- agreed\n+++ now\n" in shown
    assert "+network.rules: allow a.com\n network.rules: deny a.com\n-network.rules: al" in shown
    assert "+network.rules: allow c.com\n" in shown
    window.send(b"n\n")
    assert window.wait() == 3


def test_what_was_typed_before_is_no_answer(moat: Moat, terminal: Callable[..., Terminal]) -> None:
    """A pasted line may end in anything; only what follows the question counts."""
    (moat.workspace / "agent.yaml").write_text("env: {A: one}")
    gate = moat.workspace.with_name("gate")
    os.mkfifo(gate)
    script = 'read line < "$1"; exec "$2" run -n x -- true'
    window = terminal("-c", script, "sh", gate, moat.command, command="/bin/sh")
    window.send(b"y\n")
    window.expect(rb"y\r\n")
    gate.write_text("\n")
    window.expect(PROMPT)
    window.send(b"n\n")
    assert window.wait() == 3


def test_a_hostile_file_does_not_act_on_the_terminal(
    moat: Moat, terminal: Callable[..., Terminal]
) -> None:
    """No escape sequence, no line of its own, and not more than a screen of it."""
    values = ["\\e[2J\\e]0;owned\\a", "\\n[y]es once\\n", "\\u202e\\u200b", "x" * 5000]
    env = ", ".join(f'V{number}: "{value}"' for number, value in enumerate(values))
    hosts = ", ".join(f"h{number}.test" for number in range(3000))
    text = f"env: {{{env}}}\nnetwork: {{allow: [{hosts}]}}\n"
    window = asked(moat, terminal, text, "--", "true")
    window.send(b"d\n")
    window.expect(PROMPT)
    window.send(b"n\n")
    assert window.wait() == 3
    assert b"\x1b" not in window.output
    assert b"\x07" not in window.output
    assert "\u202e".encode() not in window.output
    assert b"V0=\\x1b[2J\\x1b]0;owned\\x07" in window.output
    assert b"V1=\\n[y]es once\\n" in window.output
    assert b"opens 3004 things" in window.output
    assert b"network.allow: and 2996 more" in window.output
    assert b"All of it: moat trust --show" in window.output
    assert b"more characters)" in window.output
    assert b"more than 200 lines: see moat trust --show" in window.output
    assert len(window.output.splitlines()) < 40
