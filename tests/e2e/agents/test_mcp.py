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
    # In print mode agents wait for their servers before they ask their models.
    assert "Echo: hello you" in asked(at_home, "one", {"message": "hello you"})
    assert "no pattern of mcp.allow" in asked(at_home, "two", {"message": "bye"})
    for run, verdict in (("one", "allowed"), ("two", "denied")):
        [call] = map(json.loads, at_home.moat.ok("trace", run, "--mcp", "--json").splitlines())
        assert (call["rule"], call["verdict"]) == ("mcp every: echo", verdict)


def asked(at_home: AtHome, run: str, arguments: dict[str, str]) -> str:
    """Return what an agent says that is asked to call the tool."""
    # Otherwise Claude Code has its model search for tools, which the stand-in doesn't.
    plain = ("-e", "ENABLE_TOOL_SEARCH=false")
    prompt = f"TOOL:echo {json.dumps(arguments)}"
    words = (at_home.kind.name, "-p", prompt, "-n", run, *plain, *at_home.kind.words)
    return at_home.moat.ok(*words, cwd=at_home.project, timeout=TURN_S)
