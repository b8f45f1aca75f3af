"""Host names of real runs' ports: a router of its own process, real servers inside, real clients."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import TIMEOUT_S, end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat

# Says its name, or an event each time that somebody asks for /next; or switches, as for WebSocket, and
# then echoes what comes.
SERVER = """\
import http.server, sys, threading
next_event = threading.Semaphore(0)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            for number in range(3):
                next_event.acquire()
                self.wfile.write(b"data: %d\\n\\n" % number)
        elif "upgrade" in self.headers:
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "websocket")
            self.end_headers()
            self.close_connection = True
            while data := self.rfile.read1():
                self.wfile.write(data)
        else:
            if self.path == "/next":
                next_event.release()
            body = f"{sys.argv[1]} at {self.headers['Host']}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 3000), Handler)
print("listens", flush=True)
server.serve_forever()
"""
OTHER_USER = """\
import os, socket, sys
os.setgid(54321)
os.setuid(54321)
sock = socket.socket()
sock.settimeout(100)
try:
    sock.connect(("127.0.0.1", int(sys.argv[1])))
    sock.sendall(b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    print(sock.recv(100))
except OSError:  # it may be reset at any moment
    print("refused")
"""
URL = re.compile(r"http://web\.(\S+)\.localhost:(\d+)")


@pytest.fixture(autouse=True)
def routing(moat: Moat) -> Iterator[None]:
    """The router has a port that is free on this machine, and is gone when the runs are."""
    moat.write_settings("router: {port: 0}\n")
    yield
    moat.ok("router", "stop")


def serve(moat: Moat, name: str) -> str:
    """A run whose port `web` says the run's name; the URL that it has outside."""
    (moat.workspace / "server.py").write_text(SERVER)
    moat.ok("run", "-d", "-n", name, "-p", "web=3000", "--", "python3", "server.py", name)
    moat.ok("wait", name, "--text", "listens")
    return moat.ok("open", name, "--print").strip()


def curl(url: str, *options: str) -> str:
    """What curl prints, which takes names below localhost for this machine, as browsers do."""
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", *options, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def connected(url: str, path: str, *fields: str) -> socket.socket:
    """A connection on which a request has been sent."""
    host = url.removeprefix("http://")
    sock = socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), TIMEOUT_S)
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *fields]
    sock.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    return sock


def until(sock: socket.socket, end_: bytes) -> bytes:
    data = b""
    while end_ not in data:
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def test_two_runs_have_names_of_their_own(moat: Moat) -> None:
    """One router serves both; programs inside and commands outside tell the same URL."""
    first, second = serve(moat, "one"), serve(moat, "two")
    assert curl(first) == f"one at {first.removeprefix('http://')}"
    assert curl(second).startswith("two at web.two.localhost:")
    port = URL.fullmatch(first)
    assert port is not None
    assert curl(f"http://localhost:{port[2]}").count("<li>") == 2
    assert moat.ok("exec", "one", "--", "sh", "-c", "echo $MOAT_URL_WEB").strip() == first
    assert moat.json("port", "one", "--json")[0]["routed_url"] == first
    assert moat.ok("port", "one").rstrip().endswith(f"  {first}")
    assert moat.json("router", "status", "--json")["ports"] == 2
    moat.ok("stop", "two")
    gone = curl(second, "--write-out", "%{http_code}")
    assert "run two is stopped: its ports are closed" in gone
    assert gone.endswith("503")
    assert curl(first).startswith("one")


def test_events_and_websockets_pass_as_they_come(moat: Moat) -> None:
    """Nothing waits for more, in either direction."""
    url = serve(moat, "one")
    with connected(url, "/upgrade", "Connection: Upgrade", "Upgrade: websocket") as sock:
        assert until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 101")
        for word in (b"first", b"second"):
            sock.sendall(word)
            assert until(sock, word) == word
    with connected(url, "/events") as sock:
        assert until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        for number in range(3):
            curl(f"{url}/next")
            until(sock, b"data: %d\n\n" % number)


def test_a_killed_supervisor_is_replaced_by_the_next_request(moat: Moat) -> None:
    """No command is needed: the router needs it."""
    url = serve(moat, "one")
    curl(url)
    before = moat.supervisor("one")
    end(before)
    assert curl(url).startswith("one at")
    assert moat.supervisor("one") != before


def test_a_killed_router_is_replaced_by_the_next_command(moat: Moat) -> None:
    """At the same port, so that the URL that the run knows is right again."""
    url = serve(moat, "one")
    end(moat.json("router", "status", "--json")["pid"])
    assert moat("router", "status").returncode == 1
    assert moat.ok("open", "one", "--print").strip() == url
    assert curl(url).startswith("one at")


def test_strangers_are_refused(moat: Moat) -> None:
    """A name that a stranger's DNS leads here, and another user of the machine."""
    url = serve(moat, "one")
    port = url.rpartition(":")[2]
    answer = curl(url, "--header", f"Host: evil.example:{port}", "--write-out", "%{http_code}")
    assert answer.endswith("421")
    assert "one at" not in answer
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    words = [sys.executable, "-c", OTHER_USER, port]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    assert said == "refused"


def test_https_with_the_routers_authority(moat: Moat, tmp_path: Path) -> None:
    """Over HTTP/2 where the client speaks it, at the same port; nobody else's names are certified."""
    url = serve(moat, "one").replace("http:", "https:")
    (tmp_path / "ca.pem").write_text(moat.ok("router", "ca"))
    trusting = ("--cacert", str(tmp_path / "ca.pem"))
    version = ("--write-out", " %{http_version}")
    assert curl(url, *trusting, *version).endswith("localhost:" + url.rpartition(":")[2] + " 2")
    assert curl(url, *trusting, *version, "--http1.1").endswith(" 1.1")
    assert "moat router ca" in moat.ok("trust-ca")


def test_a_port_that_is_taken_costs_names_alone(moat: Moat) -> None:
    """The run starts, and a line says what to do; turned off, nothing is said."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        moat.write_settings(f"router: {{port: {number}}}\n")
        done = moat("run", "-n", "x", "-p", "web=3000", "--", "sh", "-c", "echo $MOAT_URL_WEB")
        assert done.returncode == 0
        assert f"the router can't have port {number}: address already in use" in done.stderr
        assert "router: {port: 8081}" in done.stderr
        assert done.stdout.startswith("http://127.0.0.1:")
        refused = moat("router", "start")
        assert refused.returncode == 125
        moat.write_settings(f"router: {{port: {number}, enabled: false}}\n")
        done = moat("run", "-n", "y", "-p", "web=3000", "--", "sh", "-c", "echo $MOAT_URL_WEB")
        assert "router" not in done.stderr
