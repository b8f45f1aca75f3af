"""The join of settings, project and command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moat.config.network import join_network, redacted, with_command_line, with_host_environment
from moat.errors import UsageError
from moat.spec import Network, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_who_says_nothing_gets_the_default() -> None:
    """Nothing is added."""
    assert join_network({}) == join_network({"network": {}}, {}) == Network()


def test_a_project_alone_gets_what_it_says(
    tmp_path: Path, certificate: Callable[[str], str]
) -> None:
    """Every field of the file reaches the specification."""
    made = certificate("company")
    (tmp_path / "ca.pem").write_text(made)
    said = {
        "policy": "strict",
        "rules": ["deny a.com"],
        "allow": ["b.com"],
        "tcp": ["c.com:22"],
        "passthrough": ["d.com"],
        "hosts": {"E.com.": "10.0.0.1"},
        "private": ["10.0.0.0/8"],
        "upstream_ca": str(tmp_path / "ca.pem"),
        "capture": "bodies",
        "ask_timeout": "2m",
        "timeouts": {"connect": "1s", "idle": "1h"},
    }
    assert join_network({"network": said}) == Network(
        policy="strict",
        rules=("deny a.com",),
        allow=("b.com",),
        tcp=("c.com:22",),
        passthrough=("d.com",),
        hosts={"e.com": "10.0.0.1"},
        private=("10.0.0.0/8",),
        upstream_ca=made,
        capture="bodies",
        ask_timeout=120.0,
        timeouts=Timeouts(connect=1.0, idle=3600.0),
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "field", "expected"),
    [
        ({}, {"policy": "strict"}, "policy", "strict"),
        ({"policy": "strict"}, {}, "policy", "strict"),
        ({"policy": "strict"}, {"policy": "permissive"}, "policy", "strict"),
        ({"policy": "strict"}, {"policy": "ask"}, "policy", "strict"),
        ({"policy": "ask"}, {"policy": "permissive"}, "policy", "ask"),
        ({"policy": "ask"}, {"policy": "strict"}, "policy", "strict"),
        ({"policy": "permissive"}, {"policy": "ask"}, "policy", "ask"),
        ({"capture": "headers"}, {"capture": "none"}, "capture", "headers"),
        ({"capture": "headers"}, {"capture": "bodies"}, "capture", "bodies"),
        ({"rules": ["deny a"]}, {"rules": ["allow a"]}, "rules", ("deny a", "allow a")),
        (
            {"rules": ["deny a"], "allow": ["b"]},
            {"rules": ["deny b"], "allow": ["c"]},
            "rules",
            ("deny a", "allow b", "deny b"),
        ),
        ({"allow": ["b"]}, {"allow": ["c"]}, "allow", ("c",)),
        ({"hosts": {"a": "1.1.1.1"}}, {"hosts": {"A": "9.9.9.9"}}, "hosts", {"a": "1.1.1.1"}),
        (
            {"hosts": {"bücher.example": "1.1.1.1"}},
            {"hosts": {"xn--bcher-kva.example.": "9.9.9.9"}},
            "hosts",
            {"xn--bcher-kva.example": "1.1.1.1"},
        ),
        ({"private": ["fd00::/8", "[fd00::1]"]}, {}, "private", ("[fd00::/8]", "[fd00::1]")),
        ({"tcp": ["a:1"]}, {"tcp": ["b:1"]}, "tcp", ("a:1", "b:1")),
        ({"private": ["a"]}, {"private": ["b"]}, "private", ("a", "b")),
        ({"passthrough": ["a"]}, {}, "passthrough", ("a",)),
        ({"ask_timeout": "5"}, {}, "ask_timeout", 5.0),
        ({"ask_timeout": "5"}, {"ask_timeout": "0"}, "ask_timeout", 0.0),
        (
            {"timeouts": {"tls": "1", "idle": "1"}},
            {"timeouts": {"idle": "2"}},
            "timeouts",
            Timeouts(tls=1.0, idle=2.0),
        ),
        ({"trust_project": False}, {}, "policy", "permissive"),
    ],
)
def test_a_project_never_loosens_what_the_user_demands(
    ours: dict[str, Any], theirs: dict[str, Any], field: str, expected: object
) -> None:
    """The stricter policy and the fuller record hold; the user's rules and addresses come first."""
    assert getattr(join_network({"network": theirs}, ours), field) == expected


def test_certificates_of_both_are_trusted(
    tmp_path: Path, certificate: Callable[[str], str]
) -> None:
    """The user's come first; a file that has disappeared since it was checked is an error."""
    (tmp_path / "a").write_text(certificate("a"))
    (tmp_path / "b").write_text(certificate("b"))
    file = {"network": {"upstream_ca": str(tmp_path / "b")}}
    joined = join_network(file, {"upstream_ca": str(tmp_path / "a")}).upstream_ca
    assert joined == (tmp_path / "a").read_text() + (tmp_path / "b").read_text()
    (tmp_path / "b").unlink()
    with pytest.raises(UsageError, match="can't be read"):
        join_network(file)


def test_the_command_line_comes_before_all() -> None:
    """Its denials come before what it allows, because that is the safer order."""
    joined = Network(policy="strict", rules=("deny **",))
    found = with_command_line(
        joined, policy="permissive", allow=("*.a.com", "b:8443"), deny=("x.a.com",)
    )
    assert found.policy == "permissive"
    assert found.rules == ("deny x.a.com", "allow *.a.com", "allow b:8443", "deny **")
    assert with_command_line(joined, policy=None, allow=(), deny=()) == joined


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"policy": "open"}, "there is no policy 'open'"),
        ({"allow": ("GET a.com",)}, "--allow: 'GET a.com' is not a host"),
        ({"allow": ("https://a.com",)}, "--allow: 'https://a.com' is a URL, not a host"),
        ({"deny": ("",)}, "--deny: '' is not a host"),
        ({"deny": ("a..com",)}, "--deny: "),
    ],
)
def test_what_the_command_line_can_not_mean_is_refused(given: dict[str, Any], words: str) -> None:
    """The error names the option."""
    with pytest.raises(UsageError, match=words):
        with_command_line(Network(), **{"policy": None, "allow": (), "deny": ()} | given)


def test_the_hosts_own_way_out_is_written_down(
    tmp_path: Path, certificate: Callable[[str], str]
) -> None:
    """A later supervisor may have a different environment."""
    made = certificate("company")
    (tmp_path / "ca.pem").write_text(made)
    environment = {
        "HTTPS_PROXY": "http://user:pass@proxy:3128",
        "HTTP_PROXY": "http://plain:8080",
        "NO_PROXY": "localhost,.lan",
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
    }
    found = with_host_environment(Network(upstream_ca="mine\n"), environment)
    assert found.upstream_proxy == "http://user:pass@proxy:3128"
    assert found.upstream_http_proxy == "http://plain:8080"
    assert found.no_upstream_proxy == "localhost,.lan"
    assert found.upstream_ca == "mine\n" + made
    assert with_host_environment(Network(), {}) == Network()


def test_what_people_see_holds_no_password(certificate: Callable[[str], str]) -> None:
    """Certificates are counted and not printed."""
    network = Network(
        upstream_proxy="http://user:pass@proxy:3128",
        upstream_http_proxy="http://user:pass@plain:8080",
        upstream_ca=certificate("a") + certificate("b"),
    )
    found = redacted(network)
    assert found["upstream_proxy"] == "http://user:***@proxy:3128"
    assert found["upstream_http_proxy"] == "http://user:***@plain:8080"
    assert found["upstream_ca"] == 2
    assert ":pass" not in str(found)
    assert found["policy"] == "permissive"
