"""`moat policy`, `moat allow` and `moat deny`, as far as they need no running run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from moat.cli.main import run as moat
from moat.cli.policy import _render
from moat.config.compile import HostContext, RunOptions
from moat.config.creation import create_run
from moat.config.settings import Settings
from moat.credentials.credential import Credential, CredentialKey
from moat.credentials.vault import Vault
from moat.runs.saved_rules import save_rule, saved_rules
from moat.runs.store import Store

if TYPE_CHECKING:
    from pathlib import Path

AGENT_FILE = """
network:
  policy: strict
  rules: [deny POST example.com/admin/**, allow example.com]
"""


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("store") / "home"
    monkeypatch.setenv("MOAT_HOME", str(home))
    return home


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (("GET", "https://example.com/admin/x"), 0, "allowed: allow example.com"),
        (("post", "https://EXAMPLE.com/a/../admin/x"), 1, "denied: deny POST example.com/admin/**"),
        (("GET", "http://other.example/"), 1, "denied: policy: strict"),
        (("GET", "https://other.example:8443/?a=b"), 1, "moat allow RUN other.example"),
    ],
)
def test_a_decision_is_explained(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request_: tuple[str, str],
    code: int,
    words: str,
) -> None:
    """The answer names the rule, and the exit code tells scripts."""
    file = tmp_path / "agent.yaml"
    file.write_text(AGENT_FILE)

    assert moat(["policy", "test", str(file), *request_]) == code

    assert words in capsys.readouterr().out


@pytest.mark.parametrize("url", ["example.com", "ftp://example.com/", "https:///x", "https://a:x/"])
def test_what_is_no_url_is_said(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    """The error shows how to write a URL."""
    file = tmp_path / "agent.yaml"
    file.write_text(AGENT_FILE)

    assert moat(["policy", "test", str(file), "GET", url]) not in {0, 1}

    assert "is not a URL" in capsys.readouterr().err


OPENED = """
network:
  policy: strict
  rules: [deny cut.example, allow "x.example:8443"]
  allow: [ten.example, 10.0.0.1, far.example]
  tcp: [db.example:5432, cut.example:5432]
  passthrough: [pinned.example]
  hosts: {ten.example: 10.0.0.2}
"""


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("https://x.example:8443/", 0, "allowed: allow x.example:8443"),
        ("https://far.example:9000/", 1, "denied: one way out"),
        ("https://far.example:9000/", 1, "allow far.example:9000, in network.rules"),
        ("https://far.example:22/", 1, "moat allow RUN far.example:22"),
        ("https://pinned.example:9000/", 1, "denied: one way out"),
        ("https://ten.example:9000/", 1, "denied: network.private"),
        ("http://db.example:5432/", 0, "allowed: tcp db.example:5432\nThe bytes pass unread"),
        ("http://db.example:5433/", 1, "denied: policy: strict"),
        ("http://cut.example:5432/", 1, "denied: deny cut.example"),
        ("https://pinned.example/x", 0, "allowed: passthrough pinned.example\nThe bytes pass"),
        ("http://pinned.example/x", 1, "denied: policy: strict"),
        ("https://10.0.0.1/", 1, "denied: network.private"),
        ("https://ten.example/", 1, "ten.example resolves to 10.0.0.2, which is private"),
    ],
)
def test_what_is_decided_before_a_request_is_read_is_told(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, code: int, words: str
) -> None:
    """Closed ports, raw TCP, TLS that passes through and private addresses are considered."""
    file = tmp_path / "agent.yaml"
    file.write_text(OPENED.replace('"', ""))

    assert moat(["policy", "test", str(file), "GET", url]) == code

    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("method", "path", "code", "words"),
    [
        ("POST", "mcp", 0, "allowed: allow POST mcp.example:443/mcp"),
        ("POST", "sse", 1, "denied: deny mcp.example:443"),
    ],
)
def test_what_an_mcp_server_opens_is_told(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    method: str,
    path: str,
    code: int,
    words: str,
) -> None:
    """Its URL, and nothing else of a server with tools to guard."""
    file = tmp_path / "agent.yaml"
    servers = "mcp: [{name: own, url: 'https://mcp.example/mcp', allow: ['get_*']}]\n"
    file.write_text(f"network: {{policy: strict, allow: [mcp.example]}}\n{servers}")

    assert moat(["policy", "test", str(file), method, f"https://mcp.example/{path}"]) == code

    assert words in capsys.readouterr().out


def test_what_is_remembered_decides_here_too(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rules that are remembered for the file's folder decide, as in its runs."""
    file = tmp_path / "agent.yaml"
    file.write_text(AGENT_FILE)
    with Store() as store:
        save_rule(store.home, str(tmp_path), "deny GET example.com")

    assert moat(["policy", "test", str(file), "GET", "https://example.com/"]) == 1

    assert "denied: deny GET example.com" in capsys.readouterr().out


def test_a_project_that_may_open_nothing_is_told_so(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run would not start either."""
    home.mkdir()
    (home / "config.yaml").write_text("trust_project: never\n")
    file = tmp_path / "agent.yaml"
    file.write_text(AGENT_FILE)

    assert moat(["policy", "test", str(file), "GET", "https://example.com/"]) == 2

    assert "trust_project" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["", "FOO/BAR", "GET X", "GET\n", "G" * 33])
def test_what_is_no_method_is_said(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    """No request can have such a method, so no answer about it would be right."""
    file = tmp_path / "agent.yaml"
    file.write_text(AGENT_FILE)

    assert moat(["policy", "test", str(file), method, "https://example.com/"]) == 2

    assert "is not a method" in capsys.readouterr().err


def test_a_rule_that_is_none_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad rule is reported before the run is looked for."""
    assert moat(["allow", "any", "bad host"]) != 0
    assert "is not a rule" in capsys.readouterr().err


def test_what_is_remembered_comes_first_in_later_runs(home: Path, tmp_path: Path) -> None:
    """Remembered rules apply to the same folder, newest first, and only their user can read them."""
    workspace = tmp_path / "work"
    workspace.mkdir()
    (workspace / "agent.yaml").write_text(AGENT_FILE)
    with Store() as store:
        save_rule(store.home, str(workspace), "allow one.example")
        save_rule(store.home, str(workspace), "deny two.example")
        save_rule(store.home, "/elsewhere", "allow three.example")
        options = RunOptions(path=str(workspace), command=("true",), trust_project=True)
        run = create_run(store, options, Settings(), HostContext())
        rules = store.spec(run.id).network.rules

    assert rules[:3] == ("deny two.example", "allow one.example", "deny POST example.com/admin/**")
    assert saved_rules(home, str(tmp_path)) == ()
    assert (home / "policies.json").stat().st_mode & 0o777 == 0o600


def test_each_request_that_waits_is_shown() -> None:
    """A question is shown as a rule would name it, without control characters; the rest are counted."""
    waiting = [
        {"method": "GET", "host": "a.test", "port": 443, "path": "/x", "since": 0.0, "count": 1},
        {
            "method": "PUT",
            "host": "a.test",
            "port": 80,
            "path": "/\x1b[2J",
            "since": 0.0,
            "count": 3,
        },
    ]
    sections = dict.fromkeys(("additions", "rules", "tcp", "passthrough", "private"), ())
    known = sections | {"hosts": {}, "policy": "ask", "waiting": waiting, "waiting_count": 9}
    assert _render(known).splitlines()[1:] == [
        "waits for an answer: GET a.test:443/x",
        "waits for an answer: PUT a.test:80/\\x1b[2J    (3 times)",
        "waits for an answer: 5 more",
    ]


def test_the_policy_of_a_run_is_shown(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rules are shown in the order in which they decide, also for a run that has ended."""
    (tmp_path / "agent.yaml").write_text(AGENT_FILE)
    with Store() as store:
        options = RunOptions(
            path=str(tmp_path), command=("true",), name="shown", trust_project=True
        )
        run = create_run(store, options, Settings(), HostContext())
        folder = store.folder(run.id)
        folder.additions.write_text(json.dumps(["allow given.example"]))
        store.update(run.id, state="stopped")

    assert moat(["policy", "shown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert moat(["policy", "shown", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)

    assert lines[0].startswith("allow given.example")
    assert lines[1:3] == ["deny POST example.com/admin/**", "allow example.com"]
    assert lines[-1].startswith("otherwise: denied")
    assert shown["additions"] == ["allow given.example"]


def test_what_is_remembered_is_shown_and_forgotten(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rules are those of the current folder or of PATH; an unknown rule can't be forgotten."""

    def said(*arguments: str, code: int = 0) -> list[str]:
        assert moat(["policy", *arguments]) == code
        out, err = capsys.readouterr()
        return (out + err).splitlines()

    monkeypatch.chdir(tmp_path)
    with Store() as store:
        for rule in ("allow one.example", "deny POST two.example/x", "allow three.example"):
            save_rule(store.home, str(tmp_path), rule)
        save_rule(store.home, "/else", "allow four.example")

    assert said("remembered") == [
        *("allow three.example", "deny POST two.example/x", "allow one.example")
    ]
    assert said("remembered", "/else") == ["allow four.example"]
    assert said("remembered", "--all")[-2:] == ["/else", "  allow four.example"]
    [line] = said("forget", "deny", "POST", "two.example/x")
    assert line.startswith("deny POST two.example/x: forgotten")
    assert said("forget", "allow  three.example")[0].startswith("allow three.example: forgotten")
    assert said("remembered") == ["allow one.example"]
    assert "is not remembered for" in said("forget", "allow", "two.example", code=2)[0]
    assert len(said("forget", "--all", "--path", "/else")) == 1
    assert said("remembered", "/else") == ["moat: nothing is remembered for /else"]
    assert said("forget", code=2)
    assert said("forget", "--all", "allow", "one.example", code=2)
    assert saved_rules(home, str(tmp_path)) == ("allow one.example",)


@pytest.mark.parametrize("verb", ["allow", "deny"])
def test_a_rule_for_later_runs_needs_no_run_that_lives(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    """With `--always` the run only names the folder; without it the rule would have no effect."""
    with Store() as store:
        options = RunOptions(path=str(tmp_path), command=("true",), name="over")
        run = create_run(store, options, Settings(), HostContext())
        store.update(run.id, state="stopped")

    assert moat([verb, "over", "a.example"]) == 125
    assert "--always" in capsys.readouterr().err
    assert moat([verb, "over", "a.example", "--always"]) == 0

    assert capsys.readouterr().out == (
        f"{verb} a.example: applies to later runs of {tmp_path}; over has ended\n"
    )
    assert saved_rules(home, str(tmp_path)) == (f"{verb} a.example",)


def test_the_credential_that_a_request_would_use_is_named(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hosts of a grant are open under `strict`, and others get no credential."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/dev/null/bus")
    (tmp_path / "agent.yaml").write_text(AGENT_FILE)
    test = ["policy", "test", str(tmp_path / "agent.yaml")]
    assert moat([*test, "GET", "https://api.github.com/user", "--grant", "github"]) == 125
    assert "moat grant github" in capsys.readouterr().err
    Vault(home).put(Credential(key=CredentialKey(provider="github"), fields={"token": "t" * 40}))
    for method, url, code, words in (
        ("GET", "https://api.github.com/user", 0, "credential: github"),
        ("OPTIONS", "https://api.github.com/user", 0, "credential: none"),
        ("GET", "https://example.com/", 0, "credential: none"),
        ("GET", "https://other.example/", 1, "denied"),
    ):
        assert moat([*test, method, url, "--grant", "github"]) == code
        assert words in capsys.readouterr().out
