"""The join of settings, project and command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moat.config.certificates import CertificateFile
from moat.config.network import join_network, redacted, with_host_environment
from moat.errors import UsageError
from moat.spec import HostService, Network, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable


def test_who_says_nothing_gets_the_default() -> None:
    """Nothing is added."""
    assert join_network({}) == join_network({}, {}) == Network()


def test_a_project_alone_gets_what_it_says() -> None:
    """Every field of the file reaches the specification; its authorities hold for its own hosts."""
    said = {
        "policy": "strict",
        "rules": ["deny a.com"],
        "allow": ["b.com"],
        "tcp": ["c.com:22"],
        "passthrough": ["d.com"],
        "hosts": {"E.com.": "10.0.0.1"},
        "private": ["10.0.0.0/8"],
        "host": ["5432", "mcp:5055"],
        "upstream_ca": CertificateFile(Path("ca.pem"), ("A", "B")),
        "capture": "bodies",
        "ask_timeout": "2m",
        "timeouts": {"connect": "1s", "idle": "1h"},
    }
    assert join_network(said) == Network(
        policy="strict",
        rules=("deny a.com",),
        allow=("b.com",),
        tcp=("c.com:22",),
        passthrough=("d.com",),
        hosts={"e.com": "10.0.0.1"},
        private=("10.0.0.0/8",),
        host=(HostService(port=5432), HostService(port=5055, name="mcp")),
        project_ca="A\nB\n",
        project_ca_hosts=(
            "allow b.com",
            "allow c.com",
            "allow d.com",
            "allow 10.0.0.0/8",
            "allow e.com",
        ),
        capture="bodies",
        ask_timeout=120.0,
        timeouts=Timeouts(connect=1.0, idle=3600.0),
    )


def test_services_of_the_host_are_joined() -> None:
    """Those of the command line come before every rule but its denials, so that none is overruled."""
    network = join_network(
        {"host": ["mcp:5055", "5432"]},
        {"host": ["5432"], "rules": ["deny **"]},
        deny=["a.test"],
        host_ports=["db:5433"],
    )
    assert [(each.name, each.port) for each in network.host] == [
        ("db", 5433),
        ("", 5432),
        ("mcp", 5055),
    ]
    assert network.rules == ("deny a.test", "allow host.moat:5433", "deny **")


@pytest.mark.parametrize(
    "text", ["", "web", "0", "65536", "Web:80", "a:b:1", "1:2", "-1", "٣", "53"]
)
def test_what_is_no_service_of_the_host(text: str) -> None:
    """It is found before anything starts."""
    with pytest.raises(UsageError):
        join_network({}, host_ports=[text])


def test_two_services_of_one_name() -> None:
    """Its variable could tell of one alone."""
    with pytest.raises(UsageError, match="two services of this machine are called a"):
        join_network({"host": ["a:1000"]}, {"host": ["a:1001"]})


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
            Timeouts(tls=1.0, idle=1.0),
        ),
        ({"timeouts": {"idle": "2"}}, {"timeouts": {"idle": "1"}}, "timeouts", Timeouts(idle=1.0)),
        ({"ask_timeout": "5"}, {"ask_timeout": "6"}, "ask_timeout", 5.0),
    ],
)
def test_a_project_never_loosens_what_the_user_demands(
    ours: dict[str, Any], theirs: dict[str, Any], field: str, expected: object
) -> None:
    """The stricter policy, fuller record and shorter timeout hold; the user's rules come first."""
    assert getattr(join_network(theirs, ours), field) == expected


def test_the_users_authorities_hold_for_every_host() -> None:
    """A project's are kept apart from them, because they hold for some hosts only."""
    ours = {"upstream_ca": CertificateFile(Path("a.pem"), ("A",))}
    theirs = {"upstream_ca": CertificateFile(Path("b.pem"), ("B",)), "allow": ["b.com"]}
    joined = join_network(theirs, ours)
    assert (joined.upstream_ca, joined.project_ca) == ("A\n", "B\n")
    assert join_network({}, ours).project_ca_hosts == ()


def test_the_command_line_comes_before_all() -> None:
    """Its denials come before what it allows, because that is the safer order."""
    ours = {"policy": "strict", "rules": ["deny **"]}
    asked: Any = {"policy": "permissive", "allow": ["*.a.com", "b:8443"], "deny": ["x.a.com"]}
    found = join_network({"rules": ["deny y"]}, ours, ("allow saved",), **asked)
    assert found.policy == "permissive"
    assert found.rules == (
        *("deny x.a.com", "allow *.a.com", "allow b:8443"),
        *("allow saved", "deny **", "deny y"),
    )


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
        join_network({}, **given)


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
        project_ca=certificate("c"),
    )
    found = redacted(network)
    assert found["upstream_proxy"] == "http://user:***@proxy:3128"
    assert found["upstream_http_proxy"] == "http://user:***@plain:8080"
    assert (found["upstream_ca"], found["project_ca"]) == (2, 1)
    assert ":pass" not in str(found)
    assert found["policy"] == "permissive"
