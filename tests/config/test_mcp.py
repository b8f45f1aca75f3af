"""`mcp:` of a file: what it opens, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from moat.config import mcp, network
from moat.config.agent_file import load
from moat.config.consent import gives
from moat.egress.policy.decision import Verdict
from moat.egress.policy.engine import Policy
from moat.errors import UsageError
from moat.spec.mcp import McpServer

if TYPE_CHECKING:
    from pathlib import Path

    from moat.config.agent_file import Project
    from moat.spec.network import Network

ISSUES = {"name": "issues", "url": "https://MCP.test/mcp", "allow": ["get_*"]}
LOCAL = {"name": "local", "url": "http://host.moat:5055/mcp"}


def project(tmp_path: Path, text: str) -> Project:
    (tmp_path / "agent.yaml").write_text(text)
    return load(tmp_path / "agent.yaml")


def network_of(
    theirs: list[dict[str, Any]], ours: list[dict[str, Any]] | None = None, **sections: Any
) -> Network:
    """The network of a strict run."""
    users, projects = mcp.servers(ours or ()), mcp.servers(theirs)
    return network.join_network(
        mcp.opening(sections.get("project", {}), projects),
        mcp.opening({"policy": "strict", **sections.get("user", {})}, users),
    )


def allowed(found: Network, request: str) -> bool:
    method, where, path = request.split()
    host, _, port = where.partition(":")
    decision = Policy(found).decide(method, host, int(port or 443), path)
    return decision.verdict is Verdict.ALLOW


def test_a_server() -> None:
    assert mcp.servers([ISSUES]) == (
        McpServer(
            name="issues",
            scheme="https",
            host="mcp.test",
            port=443,
            path="/mcp",
            allow=("get_*",),
        ),
    )
    [plain] = mcp.servers([{"name": "a", "url": "http://[::1]:80"}])
    assert plain.url == "http://[::1]:80/"


def test_what_a_server_with_tools_to_guard_opens() -> None:
    """Its URL by the protocol's methods, and nothing else of it, whatever the project allows."""
    found = network_of([ISSUES], project={"allow": ["mcp.test", "other.test"]})
    for request in ("POST mcp.test /mcp", "GET mcp.test /mcp", "DELETE mcp.test /mcp/"):
        assert allowed(found, request), request
    for request in ("PUT mcp.test /mcp", "POST mcp.test /MCP", "POST mcp.test /v2/mcp"):
        assert not allowed(found, request), request
    assert allowed(found, "GET other.test /")


def test_what_a_server_without_patterns_opens() -> None:
    """Its URL, beside what else is open of it."""
    found = network_of([{"name": "a", "url": "https://mcp.test/mcp"}])
    assert allowed(found, "POST mcp.test /mcp")
    assert not allowed(found, "POST mcp.test /x")
    also = network_of([{"name": "a", "url": "https://mcp.test/"}], project={"allow": ["mcp.test"]})
    assert allowed(also, "POST mcp.test /x")


def test_the_users_words_come_before_a_projects_server() -> None:
    assert not allowed(
        network_of([ISSUES], user={"rules": ["deny mcp.test"]}), "POST mcp.test /mcp"
    )
    loose = {"name": "loose", "url": "https://mcp.test/mcp"}
    both = network_of([loose], [ISSUES], project={"rules": ["allow mcp.test"]})
    assert not allowed(both, "POST mcp.test /other")
    assert mcp.joined(mcp.servers([ISSUES]), mcp.servers([loose]))[0].name == "issues"


def test_a_server_of_this_machine() -> None:
    """Each of its requests is decided by itself, although other services of it are raw TCP."""
    found = network_of([LOCAL], project={"host": ["5432"]})
    policy = Policy(replace(found, mcp=mcp.servers([LOCAL])))
    assert {each.port for each in found.host} == {5055, 5432}
    assert policy.tcp("host.moat", 5055) is None
    assert policy.tcp("host.moat", 5432) is not None
    assert policy.hidden("host.moat", 5055) is None
    assert policy.decide("POST", "host.moat", 5055, "/mcp").verdict is Verdict.ALLOW
    assert policy.decide("POST", "host.moat", 5055, "/x").verdict is Verdict.DENY


def test_two_servers_of_one_name() -> None:
    servers = mcp.servers([ISSUES])
    with pytest.raises(UsageError, match="two MCP servers are called issues"):
        mcp.joined(servers, servers)


def test_the_grants_of_servers() -> None:
    entry = ISSUES | {"grant": "issues"}
    assert mcp.grants_of([entry], [LOCAL, entry]) == ("issues",)
    assert mcp.hosts_of_grants([entry, LOCAL]) == [("issues", "mcp.test")]


def test_a_project_opens_servers_with_consent(tmp_path: Path) -> None:
    """A credential of the user's always needs an agreement to just that."""
    text = "mcp: [{name: a, url: 'https://mcp.test/', allow: ['get_* x=1']}]"
    [line] = project(tmp_path, text).openings
    assert line.opens
    assert "get_* x=1" in line.value
    assert not gives(line)
    [line] = project(tmp_path, "mcp: [{name: a, url: 'https://mcp.test/', grant: b}]").openings
    assert gives(line)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("{name: a}", "url is missing"),
        ("{url: 'https://mcp.test'}", "name is missing"),
        ("{name: A_b, url: 'https://mcp.test'}", "not a name of"),
        ("{name: a, url: mcp.test}", "not an http or https URL"),
        ("{name: a, url: 'ftp://mcp.test'}", "not an http or https URL"),
        ("{name: a, url: 'https://u:secret@mcp.test'}", "holds a password"),
        ("{name: a, url: 'https://mcp.test/?x=1'}", "more than a plain path"),
        ("{name: a, url: 'https://mcp.test/*'}", "more than a plain path"),
        ("{name: a, url: 'https://mcp.test/a/.../b'}", "more than one way"),
        ("{name: a, url: 'https://mcp.test:99999'}", "Port out of range"),
        ("{name: a, url: 'https://m..test'}", "not a host name"),
        ("{name: a, url: 'https://host.moat:5055/'}", "reached by http"),
        ("{name: a, url: 'http://host.moat/'}", "at a port of its own"),
        ("{name: a, url: 'https://mcp.test', allow: ['x y']}", "not ARGUMENT=VALUE"),
        (f"{{name: a, url: 'https://mcp.test', deny: [{'x, ' * 33}]}}", "too many"),
    ],
)
def test_what_is_no_server(tmp_path: Path, entry: str, why: str) -> None:
    with pytest.raises(UsageError) as raised:
        project(tmp_path, f"mcp: [{entry}]")
    assert why in raised.value.summary
    assert "agent.yaml:1: " in raised.value.summary
    assert "secret" not in raised.value.summary
