"""A run's network while supervisors die, rules change, and other runs do as they like."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.e2e.attacks import HOSTILE, Attacked, Conversation, Heard, attacked
from tests.e2e.conftest import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

NETWORK = """
  policy: strict
  hosts: {plain.test: 127.0.0.1, origin.test: 127.0.0.1}
  private: [plain.test, origin.test]
  rules: ["allow origin.test:SECURE", "deny plain.test:PLAIN/never"]
"""
LISTEN = """
import socket, sys
each = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
open("port", "w").write(str(each.getsockname()[1]))
each.accept()
open("reached", "w").close()
"""
LOOK_UP = "import socket; print(*(socket.gethostbyname(n) for n in ('origin.test', 'plain.test')))"


@pytest.fixture
def target() -> Iterator[Attacked]:
    with attacked(NETWORK) as attack:
        yield attack


def _ask(target: Attacked, path: str, *fields: str) -> Conversation:
    head = "".join(f"{line}\r\n" for line in (f"Host: plain.test:{target.plain.port}", *fields))
    request = f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()
    return Conversation(host="plain.test", port=target.plain.port, pieces=[request])


def _said(target: Attacked, path: str, run: str = "x") -> Heard:
    return target.converse({"it": _ask(target, path)}, run=run)["it"]


def test_a_request_ends_with_its_supervisor_and_the_next_one_serves_by_the_same_rules(
    target: Attacked,
) -> None:
    """Its connection ends, never in silence; rules and addresses are as they were."""
    moat, port = target.moat, target.plain.port
    moat.ok("allow", "x", f"plain.test:{port}")
    before = moat.ok("exec", "x", "--", "python3", "-c", LOOK_UP)
    shutil.copy(HOSTILE / "speak.py", moat.workspace)
    (moat.workspace / "wait.json").write_text(json.dumps({"it": _ask(target, "/wait").as_json()}))
    program = moat.start("exec", "x", "--", "python3", "speak.py", "wait.json", "waited.json")
    assert target.plain.waiting.wait(TIMEOUT_S)

    moat.kill("x", "supervisor")
    moat.ok("inspect", "x")  # which finds it gone, and starts the next
    program.communicate(timeout=TIMEOUT_S)
    heard = json.loads((moat.workspace / "waited.json").read_text())["it"]
    assert heard["ended"] in {"eof", "reset"}
    assert heard["received"] == ""

    assert moat.ok("exec", "x", "--", "python3", "-c", LOOK_UP) == before
    assert _said(target, "/after").statuses == [200]
    assert b"/wait" in target.plain.heads[0]
    (row,) = [row for row in target.trace() if row["path"] == "/wait"]
    assert row["verdict"] == "failed"
    assert not row["in_progress"]


def test_rules_change_at_once_and_by_nothing_in_the_workspace(target: Attacked) -> None:
    """Denied, allowed, denied again; what the sandbox writes into agent.yaml changes nothing."""
    moat, host = target.moat, f"plain.test:{target.plain.port}"
    assert target.converse({"it": _ask(target, "/evil")})["it"].statuses in ([403], [])
    moat.ok("exec", "x", "--", "sh", "-c", "echo 'network: {policy: permissive}' > mine.yaml")
    moat("exec", "x", "--", "sh", "-c", "echo 'network: {policy: permissive}' > agent.yaml")
    assert _said(target, "/evil").statuses != [200]
    moat.ok("allow", "x", host)
    assert _said(target, "/fine").statuses == [200]
    moat.ok("deny", "x", host)
    assert _said(target, "/evil").denial == f"rule=deny {host}"
    assert target.reached(b"evil") == []


def test_a_port_that_a_program_has_taken_costs_no_other(target: Attacked) -> None:
    """Who allows it is told; the next supervisor, which finds it taken, serves all the same."""
    moat, host = target.moat, f"plain.test:{target.plain.port}"
    moat.ok("allow", "x", host)
    program = moat.start("exec", "x", "--", "python3", "-c", LISTEN)
    moat.ok("exec", "x", "--", "sh", "-c", "until [ -s port ]; do sleep 0.05; done")
    port = int((moat.workspace / "port").read_text())
    told = moat.ok("allow", "x", f"other.test:{port}")
    assert f"a program of the run listens on port {port}" in told

    moat.kill("x", "supervisor")
    moat.ok("policy", "x")
    assert _said(target, "/fine").statuses == [200]
    rows = [row for row in target.trace("--kind", "refusal") if str(port) in row["url"]]
    assert [row["verdict"] for row in rows] == ["failed", "failed"]
    assert "Traceback" not in target.log()
    program.kill()
    program.communicate()


def test_a_websocket_to_a_denied_path_is_closed_at_its_handshake(target: Attacked) -> None:
    """With a status, so that clients fall back."""
    target.moat.ok("allow", "x", f"plain.test:{target.plain.port}/upgrade")
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    heard = target.converse(
        {
            "denied": _ask(target, "/never", *upgrade),
            "unlisted": _ask(target, "/other", *upgrade),
        }
    )
    for each in heard.values():
        assert each.statuses == [403]
    assert target.plain.connections == 0


def test_each_run_has_its_own_rules_and_nothing_of_another(target: Attacked) -> None:
    """The same names and ports; a listener of one is not there for the other."""
    moat = target.moat
    moat.ok("allow", "x", f"plain.test:{target.plain.port}")
    moat.ok("run", "-d", "-n", "y", "--", "python3", "-c", LISTEN)
    moat.ok("exec", "y", "--", "sh", "-c", "until [ -s port ]; do sleep 0.05; done")
    port = int((moat.workspace / "port").read_text())
    assert _said(target, "/fine").statuses == [200]
    assert _said(target, "/evil", run="y").statuses != [200]
    heard = target.converse(
        {
            host: Conversation(host=host, port=port, pieces=[b"hello"])
            for host in ("127.0.0.1", "::1", "198.18.0.1", "8.8.8.8")
        }
    )
    assert {each.ended for each in heard.values()} == {"refused: Connection refused"}
    assert not (moat.workspace / "reached").exists()
    assert target.reached(b"evil") == []


def test_the_record_holds_while_supervisors_come_and_go(target: Attacked) -> None:
    """Killed again and again between requests: each request is there, once."""
    moat = target.moat
    moat.ok("allow", "x", f"plain.test:{target.plain.port}")
    for number in range(4):
        assert _said(target, f"/number/{number}").statuses == [200]
        moat.kill("x", "supervisor")
    paths = [row["path"] for row in target.trace("--kind", "request")]
    assert len(set(paths)) == len(paths)
    assert len(paths) >= 3


def test_who_follows_the_record_keeps_the_run_supervised(target: Attacked) -> None:
    """Its supervisor is killed, and nobody else is there to start another."""
    moat, port = target.moat, target.plain.port
    site = f"plain.test:{port}"
    inside = f"curl -sS {site}/one; until [ -e go ]; do sleep 0.05; done; curl -sS {site}/two"
    moat.ok("run", "-d", "-n", "y", "--allow", site, "--", "sh", "-c", inside)
    follower = moat.start("trace", "y", "-f", "--json", "--kind", "request")
    first = json.loads(follower.stdout.readline())

    moat.kill("y", "supervisor")
    (moat.workspace / "go").touch()
    out, err = follower.communicate(timeout=TIMEOUT_S)

    assert (follower.returncode, err) == (0, b"")
    second = json.loads(out)
    assert [(row["path"], row["status"]) for row in (first, second)] == [
        ("/one", 200),
        ("/two", 200),
    ]
