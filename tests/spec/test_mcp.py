"""An MCP server as a run has it: its URL, and the rules that open it."""

from __future__ import annotations

import pytest

from moat.spec.mcp import McpServer
from moat.spec.rules import Rule


@pytest.mark.parametrize(
    ("host", "url"),
    [("a.test", "https://a.test:443/mcp"), ("2001:db8::1", "https://[2001:db8::1]:443/mcp")],
)
def test_a_server_with_tools_to_guard_is_closed_but_for_its_url(host: str, url: str) -> None:
    server = McpServer(name="a", scheme="https", host=host, port=443, path="/mcp", deny=("x",))
    assert server.url == url
    rules = [Rule.parse(each) for each in server.rules()]
    assert [each.method for each in rules] == ["POST", "GET", "DELETE", None]
    assert [each.action for each in rules] == ["allow"] * 3 + ["deny"]
    assert all(each.matches_host(host, 443) for each in rules)
    assert not any(each.matches_host(host, 8443) for each in rules)


def test_a_server_without_patterns_closes_nothing() -> None:
    server = McpServer(name="a", scheme="http", host="a.test", port=80, path="/")
    assert not server.is_limited
    assert {Rule.parse(each).action for each in server.rules()} == {"allow"}
