"""The policy: which rule decides, and what its denials say."""

from __future__ import annotations

import shlex
from dataclasses import replace
from ipaddress import ip_address

import pytest

from moat.egress.policy.decision import Decision, Verdict, denial_header
from moat.egress.policy.engine import CACHE_LIMIT, Policy
from moat.errors import UsageError
from moat.spec.network import Network

STRICT = Network(
    policy="strict",
    rules=(
        "deny POST api.example.com/admin/**",
        "allow api.example.com",
        "allow GET *.one.example",
        "allow **.deep.example:8443",
        "deny bad.allowed.example",
    ),
    allow=("allowed.example", "*.allowed.example"),
)


@pytest.mark.parametrize(
    ("method", "host", "port", "path", "rule"),
    [
        ("GET", "api.example.com", 443, "/admin/x", "allow api.example.com"),
        ("POST", "api.example.com", 443, "/x", "allow api.example.com"),
        ("POST", "api.example.com", 443, "/admin/x", "!deny POST api.example.com/admin/**"),
        ("POST", "api.example.com", 443, "/x/..//admin/%78", "!deny POST api.example.com/admin/**"),
        ("POST", "api.example.com", 443, "/admin%2Fx", "!ambiguous path"),
        ("POST", "api.example.com", 443, "/x;y/z", "!ambiguous path"),
        ("GET", "a.one.example", 80, "/", "allow GET *.one.example"),
        ("GET", "a.b.one.example", 80, "/", "!policy: strict"),
        ("GET", "one.example", 80, "/", "!policy: strict"),
        ("PUT", "a.one.example", 80, "/", "!policy: strict"),
        ("PUT", "a.b.deep.example", 8443, "/", "allow **.deep.example:8443"),
        ("PUT", "a.b.deep.example", 443, "/", "!policy: strict"),
        ("GET", "allowed.example", 443, "/", "allow allowed.example"),
        ("GET", "good.allowed.example", 443, "/", "allow *.allowed.example"),
        ("GET", "bad.allowed.example", 443, "/", "!deny bad.allowed.example"),
        ("GET", "notallowed.example", 443, "/", "!policy: strict"),
        ("GET", "allowed.example.evil.test", 443, "/", "!policy: strict"),
        ("GET", "10.0.0.1", 443, "/", "!policy: strict"),
    ],
)
def test_the_first_rule_that_matches_decides(
    method: str, host: str, port: int, path: str, rule: str
) -> None:
    """The first rule that matches decides, else the policy's mode. `!` marks a denial here."""
    decision = Policy(STRICT).decide(method, host, port, path)

    assert decision.rule == rule.removeprefix("!")
    assert decision.verdict is (Verdict.DENY if rule.startswith("!") else Verdict.ALLOW)


BY_PATH = (
    "deny a.test/secret/**",
    "deny a.test/repos/*/secret/**",
    "deny a.test/admin",
    "deny a.test/x[1]",
    "deny a.test/caf\u00e9",
    "allow a.test",
    "allow b.test/v1/**",
    "allow b.test/one/*/two",
)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("a.test/public//x", "allow a.test"),
        ("a.test/public/./a/../x?q=%2f", "allow a.test"),
        ("a.test/caf%c3%a8", "allow a.test"),
        ("a.test/secret//../x", "!deny a.test/secret/**"),
        ("a.test//secret/x", "!deny a.test/secret/**"),
        ("a.test/SECRET/x", "!deny a.test/secret/**"),
        ("a.test/secret./x", "!deny a.test/secret/**"),
        ("a.test/secret%20/x", "!deny a.test/secret/**"),
        ("a.test/%ef%bd%93ecret/x", "!deny a.test/secret/**"),
        ("a.test/repos//secret/x", "!deny a.test/repos/*/secret/**"),
        ("a.test/repos/a//secret/x", "!deny a.test/repos/*/secret/**"),
        ("a.test/admin.", "!deny a.test/admin"),
        ("a.test/Admin/", "!deny a.test/admin"),
        ("a.test/admin;x=y", "!deny a.test/admin"),
        ("a.test/x%5b1%5d", "!deny a.test/x[1]"),
        ("a.test/x[1]", "!deny a.test/x[1]"),
        ("a.test/caf%C3%89", "!deny a.test/caf\u00e9"),
        ("a.test/cafe%cc%81", "!deny a.test/caf\u00e9"),
        ("a.test/public//../x", "!ambiguous path"),
        ("a.test/public/a;x", "!ambiguous path"),
        ("a.test/%c0%ae%c0%ae/x", "!ambiguous path"),
        ("a.test/secret%c0%afx", "!ambiguous path"),
        ("a.test/%ef%bc%8fsecret", "!deny a.test/secret/**"),
        ("a.test/x%ef%bc%8fsecret", "!ambiguous path"),
        ("a.test/x%00", "!ambiguous path"),
        ("a.test/a\\..\\secret", "!ambiguous path"),
        ("a.test/.../secret/x", "!ambiguous path"),
        ("b.test/v1//x", "allow b.test/v1/**"),
        ("b.test//v1/x", "!ambiguous path"),
        ("b.test/one//two", "!ambiguous path"),
        ("b.test/V1/x", "!policy: strict"),
        ("b.test/v1/../x", "!policy: strict"),
    ],
)
def test_a_path_is_denied_in_each_form_in_which_a_server_may_see_it(url: str, rule: str) -> None:
    """A path is allowed only if every reading of it is."""
    host, slash, path = url.partition("/")
    decision = Policy(Network(policy="strict", rules=BY_PATH)).decide(
        "GET", host, 443, slash + path
    )

    assert decision.rule == rule.removeprefix("!")
    assert decision.verdict is (Verdict.DENY if rule.startswith("!") else Verdict.ALLOW)


def test_a_rule_about_paths_behind_one_about_all_paths_is_not_asked() -> None:
    """After `moat allow RUN HOST`, no path of the host is ambiguous."""
    policy = Policy(Network(policy="strict", rules=BY_PATH), ["allow a.test"])

    assert policy.decide("GET", "a.test", 443, "/secret%2fx").rule == "allow a.test"


@pytest.mark.parametrize(
    ("mode", "verdict"),
    [("permissive", Verdict.ALLOW), ("strict", Verdict.DENY), ("ask", Verdict.ASK)],
)
def test_the_mode_decides_about_the_rest(mode: str, verdict: Verdict) -> None:
    """A request that no rule matches passes, is denied, or waits for the user."""
    assert Policy(Network(policy=mode)).decide("GET", "a.test", 80, "/").verdict is verdict  # type: ignore[arg-type]


def test_what_was_said_later_comes_first() -> None:
    """`moat allow` and `deny` outrank the files; the newest outranks the others."""
    policy = Policy(STRICT, ["deny api.example.com", "allow GET api.example.com"])

    assert policy.decide("GET", "api.example.com", 443, "/").rule == "deny api.example.com"


def test_a_denial_is_one_line_that_says_what_to_do() -> None:
    """The reason is one line of ASCII, whatever was asked for."""
    decision = Policy(STRICT).decide("GET", "evil.test", 443, "/\u00e4\n")

    assert decision.reason.isascii()
    assert "\n" not in decision.reason
    assert "moat allow RUN evil.test" in decision.reason
    assert denial_header(decision) == b"rule=policy: strict"


@pytest.mark.parametrize("rules", [(), ("deny [2001:db8::1:443]",)])
def test_what_a_denial_advises_can_be_pasted(rules: tuple[str, ...]) -> None:
    """The advised command quotes the brackets of an IPv6 address, which a shell would expand."""
    decision = Policy(Network(policy="strict", rules=rules)).decide(
        "GET", "2001:db8::1:443", 80, "/"
    )
    words = shlex.split(decision.reason.rpartition("moat allow RUN ")[2])
    host = words[0].removesuffix(",")

    assert "'[2001:db8::1:443]'" in decision.reason
    assert Policy(Network(policy="strict"), [f"allow {host}"]).hidden("2001:db8::1:443") is None


@pytest.mark.parametrize(
    ("host", "could"),
    [
        ("api.example.com", True),
        ("x.one.example", True),
        ("x.deep.example", True),
        ("bad.allowed.example", False),
        ("evil.test", False),
        ("raw.test", True),
        ("pinned.test", True),
    ],
)
def test_a_name_that_no_rule_could_allow_does_not_exist(host: str, could: bool) -> None:
    """DNS asks before method, port and path are known."""
    network = Network(
        policy="strict",
        rules=STRICT.rules,
        allow=STRICT.allow,
        tcp=("raw.test:5432",),
        passthrough=("pinned.test",),
    )

    assert (Policy(network).hidden(host) is None) is could
    assert Policy(replace(network, policy="permissive")).hidden(host) is None
    assert Policy(replace(network, policy="ask")).hidden(host) is None


@pytest.mark.parametrize(
    ("host", "rule"),
    [("bad.allowed.example", "deny bad.allowed.example"), ("evil.test", "policy: strict")],
)
def test_what_hides_a_name_is_named(host: str, rule: str) -> None:
    """The denial names the rule that denies all of the host, else the policy."""
    hidden = Policy(STRICT).hidden(host)

    assert hidden is not None
    assert hidden.rule == rule
    assert hidden.reason.startswith(f"moat: {host} denied")
    assert rule in hidden.reason
    assert f"moat allow RUN {host}" in hidden.reason


def test_a_denial_outranks_what_is_opened_unread() -> None:
    """`tcp` and `passthrough` open nothing that a rule denies as a whole."""
    network = Network(tcp=("raw.test:5432",), passthrough=("*.pinned.test",))
    policy = Policy(network)
    assert policy.tcp("raw.test", 5432) == Decision(Verdict.ALLOW, "tcp raw.test:5432")
    assert policy.tcp("raw.test", 5433) is None
    assert policy.passes_through("a.pinned.test", 443) == "passthrough *.pinned.test"

    denied = Policy(network, ["deny **"])
    overruled = denied.tcp("raw.test", 5432)
    assert overruled is not None
    assert (overruled.verdict, overruled.rule) == (Verdict.DENY, "deny **")
    assert "raw.test:5432 denied by rule: deny **" in overruled.reason
    assert denied.passes_through("a.pinned.test", 443) is None
    hidden = Policy(replace(network, policy="strict"), ["deny **"]).hidden("raw.test")
    assert hidden is not None
    assert hidden.rule == "deny **"

    partly = Policy(network, ["deny POST raw.test"]).tcp("raw.test", 5432)
    assert partly is not None
    assert partly.verdict is Verdict.ALLOW


def test_what_passes_through_may_be_one_port_and_is_denied_by_port() -> None:
    """A port in an entry or a rule leaves the other ports as they were."""
    network = Network(policy="strict", passthrough=("one.test:8443", "all.test"))
    policy = Policy(network, ["deny all.test:443"])

    assert policy.passes_through("one.test", 8443) == "passthrough one.test:8443"
    assert policy.passes_through("one.test", 443) is None
    assert policy.passes_through("all.test", 8443) == "passthrough all.test"
    assert policy.passes_through("all.test", 443) is None
    assert policy.decide("CONNECT", "all.test", 443, "/").rule == "deny all.test:443"
    assert policy.hidden("all.test") is None
    assert policy.ports == {8443}


def test_ports_to_capture_are_those_that_are_opened() -> None:
    """Rules that allow and `tcp` open ports; 80 and 443 are captured anyway."""
    network = Network(
        rules=("allow a.test:8443", "deny b.test:9000", "allow c.test:443"), tcp=("d.test:22",)
    )

    assert Policy(network).ports == {8443, 22}


def test_private_addresses_are_opened_by_name_or_network() -> None:
    """Private addresses that no entry names stay closed."""
    policy = Policy(Network(private=("10.1.0.0/16", "lan.test", "[fd00::/8]")))

    assert policy.private("any.test", ip_address("10.1.2.3"))
    assert policy.private("lan.test", ip_address("192.168.1.1"))
    assert policy.private("any.test", ip_address("fd12::1"))
    assert not policy.private("any.test", ip_address("10.2.0.1"))


@pytest.mark.parametrize(
    "network",
    [
        Network(rules=("permit a.test",)),
        Network(allow=("a.test/path",)),
        Network(tcp=("a.test",)),
        Network(passthrough=("a b",)),
        Network(rules=("allow a.*b.test",)),
        Network(rules=("allow a.test:70000",)),
        Network(rules=("deny DELETE",)),
    ],
)
def test_a_rule_that_is_none_is_named(network: Network) -> None:
    """A bad rule is reported when the policy is made."""
    with pytest.raises(UsageError):
        Policy(network)


def test_decisions_that_are_remembered_are_bounded() -> None:
    """A hostile program can ask for any number of names."""
    policy = Policy(Network())
    for number in range(CACHE_LIMIT + 10):
        policy.decide("GET", f"a{number}.test", 80, "/")

    assert len(policy._decided) <= CACHE_LIMIT


@pytest.mark.parametrize("path", ["/@types%2fnode", "/a;x/b", "/a//../b", "/%ff"])
def test_a_rule_about_every_path_understands_none(path: str) -> None:
    """npm asks for `/@scope%2fname`: where all paths are allowed, it doesn't matter which it is."""
    policy = Policy(Network(policy="strict"), ["allow GET npm.test/**", "allow other.test/a/**"])
    assert policy.decide("GET", "npm.test", 443, path).verdict is Verdict.ALLOW
    assert policy.decide("POST", "npm.test", 443, path).verdict is Verdict.DENY
    assert policy.decide("GET", "other.test", 443, path).rule in {
        "ambiguous path",
        "policy: strict",
    }
