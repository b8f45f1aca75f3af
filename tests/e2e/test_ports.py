"""Published ports of real runs: who comes in, where to, and what is left of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import ON_EVERY_ENGINE, TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Moat, Terminal

# Answers each connection with its own name and what came before the client was done, and says when it
# listens.
SERVER = """\
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)
print("listens", flush=True)
while True:
    sock, _ = listener.accept()
    with sock:
        data = b""
        while more := sock.recv(65536):
            data += more
        sock.sendall(sys.argv[3].encode() + b" got " + data)
"""
OTHER_USER = """\
import os, socket, sys
os.setgid(54321)
os.setuid(54321)
sock = socket.socket()
sock.settimeout(100)
try:
    sock.connect((b"127.0.0.1", int(sys.argv[1])))
    sock.sendall(b"let me in")
    sock.shutdown(socket.SHUT_WR)
    print(sock.recv(100))
except OSError:  # it may be reset at any moment
    print("refused")
"""


@pytest.fixture(autouse=True)
def _without_names(moat: Moat) -> None:
    """Host names are tested apart (test_router)."""
    moat.write_settings("router: {enabled: false}\n")


def serve(moat: Moat, *options: str, address: str = "127.0.0.1", port: int = 3000) -> None:
    """A run `x` whose command listens on a port; when this returns, it does."""
    (moat.workspace / "server.py").write_text(SERVER)
    words = ("python3", "server.py", address, str(port), "main")
    moat.ok("run", "-d", "-n", "x", *options, "--", *words)
    moat.ok("wait", "x", "--text", "listens")


def place(moat: Moat, port: str = "web") -> tuple[str, int]:
    address, _, number = moat.ok("port", "x", port).strip().rpartition(":")
    return address.strip("[]"), int(number)


def said_at(where: tuple[str, int], question: bytes = b"hello") -> bytes:
    """What the server says to a question, once the visitor has nothing to add."""
    with socket.create_connection(where, TIMEOUT_S) as sock:
        sock.sendall(question)
        with suppress(OSError):  # reset meanwhile, as the next call tells
            sock.shutdown(socket.SHUT_WR)
        answer = b""
        while more := sock.recv(65536):
            answer += more
        return answer


def events(moat: Moat, kind: str) -> list[dict[str, Any]]:
    lines = moat.ok("events", "x", "--json").splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


@ON_EVERY_ENGINE
@pytest.mark.parametrize("policy", ["permissive", "strict"])
def test_a_server_of_a_run_is_reached(moat: Moat, policy: str) -> None:
    """On every engine, under every policy, with bytes both ways, before and after a SIGKILL."""
    serve(moat, "-p", "web=3000", "--network-policy", policy)
    where = place(moat)
    assert where[0] == "127.0.0.1"
    data = os.urandom(300_000)
    assert said_at(where, data) == b"main got " + data
    moat.kill("x", "supervisor")
    assert place(moat) == where
    assert said_at(where) == b"main got hello"


@ON_EVERY_ENGINE
def test_a_server_of_an_exec_session_is_reached(moat: Moat) -> None:
    """It is in the same network, whoever has started it, and knows the same URL."""
    (moat.workspace / "server.py").write_text(SERVER)
    moat.ok("run", "-d", "-n", "x", "-p", "api=4000", "--", "sleep", "1000")
    server = moat.start("exec", "x", "--", "python3", "server.py", "::1", "4000", "exec")
    assert server.stdout is not None
    assert server.stdout.readline() == b"listens\n"
    assert said_at(place(moat, "api")) == b"exec got hello"
    url = moat.ok("exec", "x", "--", "sh", "-c", "echo $MOAT_URL_API").strip()
    assert url == moat.ok("open", "x", "--print").strip()
    server.kill()
    server.communicate()


DESCRIPTORS = """\
import os
folder = "/proc/self/fd/"
print([os.readlink(folder + fd) for fd in "0123456789" if os.path.exists(folder + fd)])
"""


@ON_EVERY_ENGINE
def test_no_command_gets_a_socket_of_the_host(moat: Moat) -> None:
    """The shim keeps them: in the hands of a command, one would lead out of the sandbox."""
    (moat.workspace / "look.py").write_text(DESCRIPTORS)
    script = "python3 look.py; sleep 1000"
    moat.ok("run", "-d", "-n", "x", "-p", "web=3000", "--", "sh", "-c", script)
    moat.ok("wait", "x", "--text", r"\]", "--timeout", "60")
    moat.kill("x", "supervisor")
    of_exec = moat.ok("exec", "x", "--", "python3", "look.py")
    for said in (moat.ok("logs", "x"), of_exec):
        assert said.count("'") == 6, said
        assert "socket" not in said


def test_a_connection_without_a_supervisor_waits_for_the_next(moat: Moat) -> None:
    """The port is the run's while nobody supervises it."""
    serve(moat, "-p", "web=3000")
    where = place(moat)
    moat.kill("x", "supervisor")
    with socket.create_connection(where, TIMEOUT_S) as early:
        early.sendall(b"early")
        early.shutdown(socket.SHUT_WR)
        assert place(moat) == where  # asks, and so starts the next supervisor
        assert early.recv(100) == b"main got early"


def test_both_loopbacks_lead_to_a_free_port(moat: Moat) -> None:
    """A browser may try either for `localhost`."""
    serve(moat, "-p", "3000")
    _, number = place(moat, "3000")
    assert said_at(("::1", number)) == said_at(("127.0.0.1", number)) == b"main got hello"


def test_nobody_else_comes_in(moat: Moat) -> None:
    """A port is its user's alone, and the refusal is recorded; with an address it is everybody's."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    serve(moat, "-p", "web=3000", "-p", "all=127.0.0.1:3000")

    def visit(port: str) -> str:
        words = [sys.executable, "-c", OTHER_USER, str(place(moat, port)[1])]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    assert visit("web") == "refused"
    assert visit("all") == "b'main got let me in'"
    (denied,) = events(moat, "denied")
    assert denied["reason"] == "it is of another user (uid 54321)"
    connected = [(each["name"], each["error"]) for each in events(moat, "port_connected")]
    assert connected == [("all", "")]


def test_an_address_is_the_command_lines_and_warned_of(moat: Moat) -> None:
    """A line says who may come."""
    (moat.workspace / "server.py").write_text(SERVER)
    done = moat("run", "-n", "x", "-p", "0.0.0.0:3000", "-p", "a=localhost:4000", "--", "true")
    assert done.returncode == 0
    assert "port 3000 is open to whoever reaches this machine, at 0.0.0.0" in done.stderr
    assert "port a is open to every user of this machine, at localhost" in done.stderr


def test_a_port_that_is_taken(moat: Moat) -> None:
    """One clear line before anything starts, and nothing is left; nor is there of a bad option."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        done = moat("run", "-d", "-n", "x", "-p", f"{number}:3000", "--", "touch", "began")
        assert done.returncode == 125
        assert done.stderr == (
            f"moat: port {number} is taken: another program listens there\n"
            "      Choose another for 3000, or let Moat choose a free one: -p 3000=3000\n"
        )
        assert not (moat.workspace / "began").exists()
    for option in ("web", "3000:80", "3000/udp"):
        done = moat("run", "-d", "-n", "x", "-p", option, "--", "true")
        assert done.returncode == 2, option
    assert moat.runs() == []


def test_a_project_publishes_with_consent(moat: Moat) -> None:
    """Its ports open the run, so they are asked about; an address it can't name at all."""
    (moat.workspace / "agent.yaml").write_text("ports: {web: 3000}\n")
    done = moat("run", "-d", "-n", "x", "--", "sleep", "1000")
    assert done.returncode == 3
    assert "ports: web=3000" in done.stderr
    serve(moat, "--trust-project")
    assert said_at(place(moat)) == b"main got hello"
    (moat.workspace / "agent.yaml").write_text("ports: {web: '0.0.0.0:3000'}\n")
    done = moat("run", "-d", "--trust-project", "--", "true")
    assert done.returncode == 2
    assert "names an address" in done.stderr


def test_what_shows_ports(moat: Moat) -> None:
    """`port`, `open`, `list` and `inspect` tell the same, and nothing of a run that has ended."""
    serve(moat, "-p", "web=3000", "-p", "4000")
    (web, other) = moat.json("port", "x", "--json")
    assert (web["name"], web["port"], other["name"], other["port"]) == ("web", 3000, "4000", 4000)
    assert web.pop("routed_url") is other.pop("routed_url") is None
    lines = moat.ok("port", "x").splitlines()
    assert lines[0] == f"web 3000/tcp -> 127.0.0.1:{web['host_port']}"
    assert moat.ok("port", "x", "3000") == f"127.0.0.1:{web['host_port']}\n"
    assert moat.ok("open", "x", "web", "--print") == f"{web['url']}\n"
    assert f"{web['host_port']}->web, {other['host_port']}->4000" in moat.ok("list")
    assert moat.json("list", "--json")[0]["ports"] == moat.inspect("x")["ports"] == [web, other]
    assert "Name one of them" in moat("open", "x", "--print").stderr
    assert "publishes no port 5000" in moat("port", "x", "5000").stderr
    moat.ok("stop", "x")
    assert "its ports are closed" in moat("port", "x").stderr
    assert moat.inspect("x")["ports"] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", web["host_port"]))


def test_open_starts_the_users_browser(moat: Moat) -> None:
    """With the URL that Moat made, and no other word of the run's; without one it says the URL."""
    serve(moat, "-p", "web=3000")
    url = moat.ok("open", "x", "--print").strip()
    program = moat.home.with_name("browser")
    program.write_text('#!/bin/sh\necho "$@" > "$0.opened"\n')
    program.chmod(0o755)
    done = moat("open", "x", BROWSER=str(program))
    assert (done.returncode, done.stderr) == (0, f"moat: opened {url}\n")
    assert program.with_name("browser.opened").read_text() == f"{url}\n"
    done = moat("open", "x", BROWSER="")
    assert done.returncode == 125
    assert f"Open it yourself: {url}" in done.stderr


def test_an_agent_is_told_of_ports(moat: Moat, terminal: Callable[..., Terminal]) -> None:
    """`-p` of an agent's command prints an answer, so there is `--publish`."""
    del terminal
    text = moat.ok("claude", "--help")
    assert "--publish" in text
    assert "-p, --publish" not in text
    assert "-p, --publish" in moat.ok("run", "--help")


def test_a_rule_that_takes_a_port_keeps_visitors_from_the_proxy(moat: Moat) -> None:
    """A visitor never reaches the run's proxy, which has the run's credentials."""
    moat.ok("run", "-d", "-n", "x", "-p", "web=3000", "--", "sleep", "1000")
    moat.ok("allow", "x", "api.test:3000")
    question = b"GET / HTTP/1.1\r\nHost: api.test:3000\r\n\r\n"
    answer = b""
    with suppress(OSError):  # a reset, wherever it is noticed
        answer = said_at(place(moat), question)
    assert answer == b""
    assert [each["scheme"] for each in events(moat, "denied")] == ["port"]
    assert moat.ok("trace", "x", "--json") == ""


def test_ports_in_the_audit_log(moat: Moat) -> None:
    """What was opened and who came is in the signed log."""
    serve(moat, "-p", "web=3000")
    said_at(place(moat))
    moat.ok("stop", "x")
    entries = [json.loads(line) for line in moat.ok("audit", "x", "--json").splitlines()]
    assert {"port_published", "port_connected"} <= {each["event"] for each in entries}
    assert moat("audit", "x", "--verify").returncode == 0


HOSTILE = """\
import socket, threading
def never_reads(sock): never.append(sock)
def floods(sock):
    try:
        while True: sock.sendall(bytes(65536))
    except OSError: pass
never = []
for port, act in ((3000, never_reads), (3001, floods)):
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    def accept(listener=listener, act=act):
        while True: threading.Thread(target=act, args=listener.accept()[:1]).start()
    threading.Thread(target=accept).start()
full = socket.create_server(("127.0.0.1", 3002), backlog=0)
print("listens", flush=True)
"""


def test_a_hostile_server_exhausts_nothing(moat: Moat) -> None:
    """However many connections it leaves open, floods or never accepts, the supervisor answers."""
    (moat.workspace / "hostile.py").write_text(HOSTILE)
    options = [word for port in (3000, 3001, 3002) for word in ("-p", str(port))]
    moat.ok("run", "-d", "-n", "x", *options, "--", "python3", "hostile.py")
    moat.ok("wait", "x", "--text", "listens")
    visitors: list[socket.socket] = []
    try:
        for port in ("3000", "3001", "3002"):
            where = place(moat, port)
            for _ in range(60):
                visitors.append(socket.create_connection(where, TIMEOUT_S))
                visitors[-1].sendall(b"x")
        assert moat.inspect("x")["state"] == "running"
        process = Path("/proc") / str(moat.supervisor("x"))
        assert len(list((process / "fd").iterdir())) < 400
        pages = int((process / "statm").read_text().split()[1])
        assert pages * os.sysconf("SC_PAGESIZE") < 256 << 20
    finally:
        for each in visitors:
            each.close()
    assert moat.ok("stop", "x").strip() == "x"
