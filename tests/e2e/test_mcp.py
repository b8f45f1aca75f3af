"""Calls of tools on an MCP server: what a program in the run can make reach it, whatever it sends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.origin import Origin

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat

CALL = '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "%s"}}'
JSON = ("-H", "Content-Type: application/json", "--data-binary")
TWICE = '{"method": "tools/call", "params": {"name": "get_one", "name": "delete"}}'
ATTACKS = {
    "another tool": ("/mcp", *JSON, CALL % "delete"),
    "another path": ("/sse", *JSON, CALL % "delete"),
    "another spelling": ("/%6Dcp/", *JSON, CALL % "delete"),
    "capital letters": ("/MCP", *JSON, CALL % "delete"),
    "a name twice": ("/mcp", *JSON, TWICE),
    "a batch": ("/mcp", *JSON, f"[{CALL % 'delete'}]"),
    "a form": ("/mcp", "--data-binary", CALL % "delete"),
    "another method": ("/mcp", "-X", "PUT", *JSON, CALL % "delete"),
    "a GET with a body": ("/mcp", "-X", "GET", *JSON, CALL % "delete"),
    "a field that names another method": (
        *("/mcp", "-H", "X-HTTP-Method-Override: PUT"),
        *JSON,
        CALL % "get_one",
    ),
}


@pytest.fixture
def server(moat: Moat, tmp_path: Path) -> Iterator[Origin]:
    """A server that takes anything, at the URL of one that the run may call for `get_*` alone."""
    folder = tmp_path / "ca"
    folder.mkdir()
    authority = CertificateAuthority.load_or_create(folder)
    (moat.workspace / "ca.pem").write_bytes(authority.certificate_pem)
    with Origin(authority.context("mcp.test", ("http/1.1",))) as origin:
        url = f"https://mcp.test:{origin.port}/mcp"
        network = {
            "hosts": {"mcp.test": "127.0.0.1"},
            "private": ["127.0.0.0/8"],
            "upstream_ca": "ca.pem",
            "allow": ["mcp.test"],
        }
        project = {"network": network, "mcp": [{"name": "own", "url": url, "allow": ["get_*"]}]}
        (moat.workspace / "agent.yaml").write_text(json.dumps(project))
        moat.trust_projects()
        yield origin


def test_what_a_program_can_make_reach_a_server(moat: Moat, server: Origin) -> None:
    """What is allowed, and nothing else; also under the next supervisor. The record has each call."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "1000")

    def ask(path: str, *options: str) -> str:
        words = ("curl", "-sS", *options, f"https://mcp.test:{server.port}{path}")
        return moat.ok("exec", "x", "--", *words)

    for name, attack in ATTACKS.items():
        assert "moat: " in ask(*attack), name
        assert server.heads == [], name
    moat.kill("x", "supervisor")
    answer = json.loads(ask("/mcp", *JSON, CALL % "delete"))
    assert "no pattern of mcp.allow" in answer["result"]["content"][0]["text"]
    assert server.heads == []
    ask("/mcp", *JSON, CALL % "get_one")
    assert len(server.heads) == 1
    rows = [json.loads(line) for line in moat.ok("trace", "x", "--mcp", "--json").splitlines()]
    assert [(each["rule"], each["verdict"]) for each in rows][-2:] == [
        ("mcp own: delete", "denied"),
        ("mcp own: get_one", "allowed"),
    ]


def test_a_grant_that_is_not_for_the_server(moat: Moat) -> None:
    """Bad input is one clear line, and starts nothing."""
    moat.ok("grant", "github", "--from", "stdin", "--no-validate", stdin="ghp_" + "x" * 36)
    servers = [{"name": "own", "url": "https://mcp.test/mcp", "grant": "github"}]
    moat.write_settings(json.dumps({"mcp": servers}))
    refused = moat("run", "--", "true")
    assert refused.returncode == 2
    assert "the grant github is not for mcp.test" in refused.stderr
    assert moat.runs() == []
