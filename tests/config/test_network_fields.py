"""The section `network:` of a file: valid values, and the errors for others."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config import agent_file, settings
from moat.config.fields import schema
from moat.config.network import join_network
from moat.config.network_fields import FIELDS
from moat.egress.policy.engine import Policy
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

WHOLE = """\
network:
  policy: ask
  rules:
    - allow GET api.example.com/v1/**
    - deny **.example.com
  allow: [pypi.example, "*.internal.example"]
  tcp: [db.example:5432]
  passthrough: [pinned.example]
  hosts: {db.example: 10.0.0.7, six.example: "fd00::1"}
  host: [5433, "mcp:5055"]
  private: [10.0.0.0/8, nas.lan, "fd00::/8", "fd00::1", 192.168.1.4]
  upstream_ca: ca.pem
  capture: headers
  ask_timeout: 2m
  timeouts: {connect: 5s, tls: 5, header: 1500ms, idle: 1h}
"""

WRONG = [
    ("network:\n  host: [mcp]", 2, "'mcp' is not a port of this machine"),
    ("network:\n  host: [3128]", 2, "can't be reached: in a run, port 3128 is Moat's own proxy"),
    ("network:\n  hosts: {host.moat: 10.0.0.1}", 2, "'host.moat' is this machine"),
    ("network: strict", 1, "a map of fields is expected"),
    ("network:\n  polcy: ask", 2, "unknown field 'polcy'"),
    ("network:\n  policy: stric", 2, "policy must be one of permissive, ask, strict, not 'stric'"),
    ("network:\n  capture: all", 2, "capture must be one of none, headers, bodies, not 'all'"),
    ("network:\n  rules: allow a", 2, "rules must be a list of strings"),
    ("network:\n  rules:\n    - allow a.com\n    - permit b.com", 4, "permit b.com"),
    ("network:\n  rules:\n    - allow", 3, "rules: "),
    ("network:\n  rules: ['allow a.com:99999']", 2, "rules: "),
    ("network:\n  rules: ['allow GET POST a.com']", 2, "rules: "),
    ("network:\n  allow:\n    - a.com\n    - GET a.com", 4, "allow: 'GET a.com' is not a host"),
    ("network:\n  allow: [a.com/path]", 2, "allow: 'a.com/path' is not a host"),
    ("network:\n  allow: ['']", 2, "allow: '' is not a host"),
    ("network:\n  allow: ['a..com']", 2, "allow: "),
    ("network:\n  tcp: [a.com]", 2, "tcp: 'a.com' names no port"),
    ("network:\n  tcp: ['a.com:0']", 2, "0 is not a port"),
    ("network:\n  tcp: ['a.com:65536']", 2, "65536 is not a port"),
    ("network:\n  tcp: ['a.com:53']", 2, "'a.com:53' can't be opened: in a run, port 53 of every"),
    ("network:\n  tcp: ['a.com:3128']", 2, "'a.com:3128' can't be opened: in a run, port 3128"),
    ("network:\n  tcp: ['a.com:٣']", 2, "tcp: "),
    ("network:\n  tcp: [':80']", 2, "tcp: "),
    ("network:\n  passthrough: [a b]", 2, "passthrough: 'a b' is not a host"),
    (
        "network:\n  passthrough: ['a.com:443']",
        2,
        "passthrough: 'a.com:443' has a port, which means nothing here",
    ),
    ("network:\n  hosts: [a.com]", 2, "a map of fields is expected"),
    ("network:\n  hosts:\n    b: 1.2.3.4\n    a.com: b.com", 4, "'b.com' for a.com is not an IP"),
    (
        "network:\n  hosts: {'a.b:80': 1.2.3.4}",
        2,
        "hosts: 'a.b:80' has a port, which means nothing here",
    ),
    ("network:\n  hosts: {a.com: 1.2.3.4, A.com.: 1.2.3.5}", 2, "'A.com.' is there in another"),
    ("network:\n  hosts: {'a:b:c': 1.2.3.4}", 2, "hosts: 'a:b:c' is not a host name"),
    ("network:\n  allow: ['a.com:0']", 2, "allow: 'a.com:0': 0 is not a port"),
    ("network:\n  hosts: {a.com: 10.0.0}", 2, "'10.0.0' for a.com is not an IP"),
    ("network:\n  hosts: {'*.com': 10.0.0.1}", 2, "'*.com' is not a host name"),
    ("network:\n  hosts: {'a b': 10.0.0.1}", 2, "'a b' is not a host name"),
    ("network:\n  hosts: {a.com: 'fe80::1%eth0'}", 2, "'fe80::1%eth0' for a.com is not an IP"),
    ("network:\n  hosts: {10.0.0.1: 10.0.0.2}", 2, "'10.0.0.1' is an address itself"),
    ("network:\n  allow: ['https://a.com/x']", 2, "'https://a.com/x' is a URL, not a host"),
    ("network:\n  private: ['nas.lan:80']", 2, "'nas.lan:80' has a port, which means nothing here"),
    ("network:\n  private: [10.0.0.0/33]", 2, "private: '10.0.0.0/33' is neither"),
    ("network:\n  private: [10.0.0.1/8]", 2, "has host bits set"),
    ("network:\n  private: [a b]", 2, "private: 'a b' is not a host"),
    ("network:\n  ask_timeout: soon", 2, "'soon' is not a length of time"),
    ("network:\n  timeouts:\n    idle: never", 3, "'never' is not a length of time"),
    ("network:\n  timeouts:\n    connect: 0s", 3, "connect: 0 is not more than zero"),
    ("network:\n  timeouts:\n    idel: 3s", 3, "unknown field 'idel'"),
    ("network:\n  upstream_ca: none.pem", 2, "none.pem can't be read: No such file"),
    ("network:\n  upstream_ca: agent.yaml", 2, "agent.yaml holds no PEM certificate"),
    ("network:\n  upstream_proxy: http://a", 2, "unknown field 'upstream_proxy'"),
    ("network:\n  trust_project: true", 2, "unknown field 'trust_project'"),
]


def load(folder: Path, text: str) -> Mapping[str, Any]:
    path = folder / "agent.yaml"
    path.write_text(text)
    return agent_file.load(path).network


def test_a_whole_network(tmp_path: Path, certificate: Callable[[str], str]) -> None:
    """Every field is read; the certificates lie beside the file."""
    made = certificate("company")
    (tmp_path / "ca.pem").write_text(made)
    said = load(tmp_path, WHOLE)
    assert said.keys() == agent_file.FIELDS["network"].fields.keys()
    assert said["upstream_ca"] == (tmp_path / "ca.pem", (made.strip(),))


def test_what_is_accepted_makes_a_policy(tmp_path: Path, certificate: Callable[[str], str]) -> None:
    """A value that passes the check makes a policy, so a run never fails because of its policy."""
    (tmp_path / "ca.pem").write_text(certificate("company"))
    policy = Policy(join_network(load(tmp_path, WHOLE)))
    assert policy.tcp("db.example", 5432)
    assert policy.tcp("host.moat", 5055)
    assert policy.override("six.example") == "fd00::1"
    for address in ("10.1.2.3", "fd00::1", "fd12::1", "192.168.1.4"):
        assert policy.private("any.example", ip_address(address))
    assert not policy.private("any.example", ip_address("192.168.1.5"))


_WORDS = st.sampled_from(
    [
        "a.com",
        "*",
        "**",
        ":",
        "443",
        "/",
        "[",
        "]",
        "fd00::",
        "10.0.0.0",
        "8",
        "GET ",
        " ",
        "é",
        "-",
    ]
)


@given(
    st.sampled_from(["rules", "allow", "tcp", "passthrough", "private"]),
    st.lists(_WORDS, min_size=1, max_size=5).map("".join),
)
def test_whatever_is_accepted_makes_a_policy(name: str, text: str) -> None:
    """This holds for values that nobody would write, too."""
    each = FIELDS[name].each
    assert each is not None
    text = f"allow {text}" if name == "rules" else text
    try:
        each(text)
    except (UsageError, ValueError):
        return
    Policy(join_network({name: [text]}))


@pytest.mark.parametrize(("text", "line", "words"), WRONG)
def test_a_mistake_is_reported_with_its_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    """In a list it is the line of the item."""
    with pytest.raises(UsageError) as raised:
        load(tmp_path, text)
    assert raised.value.summary.startswith(f"{tmp_path}/agent.yaml:{line}: ")
    assert words in raised.value.summary


def test_what_was_checked_is_what_is_used(
    tmp_path: Path, certificate: Callable[[str], str]
) -> None:
    """The certificates are read once: a run of the same folder may replace the file at any moment."""
    made = certificate("company")
    (tmp_path / "ca.pem").write_text(made)
    said = load(tmp_path, "network: {upstream_ca: ca.pem, allow: [a.com]}")
    (tmp_path / "ca.pem").unlink()
    assert join_network(said).project_ca == made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("network:\n  upstream_ca: ca.pem", "'ca.pem' is not an absolute path"),
        ("network:\n  upstream_ca: /nonexistent", "/nonexistent can't be read"),
        ("network:\n  policy: open", "policy must be one of"),
        ("network:\n  trust_project: 1", "trust_project must be true or false"),
        ("network:\n  trust_project: false", "trust_project: this setting has moved"),
        ("network:\n  rules: [permit a]", "rules: "),
    ],
)
def test_the_users_own_mistakes_are_reported_too(tmp_path: Path, text: str, words: str) -> None:
    """The error has the path and the line of the settings."""
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UsageError) as raised:
        settings.load(tmp_path)
    assert raised.value.summary.startswith(f"{tmp_path}/config.yaml:2: ")
    assert words in raised.value.summary


def test_the_users_certificates_may_lie_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: Callable[[str], str]
) -> None:
    """`~` is the home, like in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    made = certificate("company")
    (tmp_path / "ca.pem").write_text(made)
    (tmp_path / "config.yaml").write_text("network: {upstream_ca: ~/ca.pem, capture: bodies}")
    assert settings.load(tmp_path).network == {
        "upstream_ca": (tmp_path / "ca.pem", (made.strip(),)),
        "capture": "bodies",
    }


def test_the_schema_has_all_of_it() -> None:
    """Editors can offer the policies and the timeouts."""
    made = schema("agent.yaml", agent_file.FIELDS)["properties"]["network"]
    assert made["properties"]["policy"]["enum"] == ["permissive", "ask", "strict"]
    assert made["properties"]["timeouts"]["properties"].keys() == {
        "connect",
        "tls",
        "header",
        "idle",
    }
    assert "trust_project" not in made["properties"]
    own = schema("config.yaml", settings.fields())["properties"]["network"]
    assert own["properties"]["trust_project"]["type"] == "boolean"
