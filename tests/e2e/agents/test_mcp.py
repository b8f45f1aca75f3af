"""Real agents that call tools of a real MCP server, under patterns that deny some of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.e2e.agents.at_home import PROGRAMS, TURN_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.agents.at_home import AtHome

pytestmark = pytest.mark.timeout(5 * TURN_S)


@pytest.fixture
def server() -> Iterator[int]:
    """The port of the reference server of the protocol's authors, on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    program = subprocess.Popen(
        [PROGRAMS / "mcp-server-everything", "streamableHttp"],
        env={**os.environ, "PORT": str(port)},
        stderr=subprocess.PIPE,
    )
    with program:
        assert program.stderr is not None
        for line in program.stderr:
            if b"listening" in line:
                break
        yield port
        program.kill()


def test_an_agent_calls_the_tools_that_are_allowed(at_home: AtHome, server: int) -> None:
    """It finds the server without being told by the user, and reads why a call is denied."""
    url = f"http://host.moat:{server}/mcp"
    mcp = [{"name": "every", "url": url, "allow": ["echo message=hello*"]}]
    (at_home.project / "agent.yaml").write_text(json.dumps({"mcp": mcp}))
    at_home.moat.ok("trust", at_home.project)
    # Otherwise Claude Code has its model search for tools, which the stand-in doesn't.
    window = at_home.open("one", "-e", "ENABLE_TOOL_SEARCH=false")
    at_home.turn(window, 'TOOL:echo {"message": "hello you"}', "Echo: hello you")
    at_home.turn(window, 'TOOL:echo {"message": "bye"}', "no pattern of mcp.allow")
    calls = at_home.moat.ok("trace", "one", "--mcp", "--json").splitlines()
    assert [(each["rule"], each["verdict"]) for each in map(json.loads, calls)] == [
        ("mcp every: echo", "allowed"),
        ("mcp every: echo", "denied"),
    ]
