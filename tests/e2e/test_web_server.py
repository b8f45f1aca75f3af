"""`moat web` without a browser: who gets in, who doesn't, and who makes whom wait."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import TIMEOUT_S
from tests.e2e.web import WebPage, say
from websockets.exceptions import ConnectionClosedError, InvalidStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat
    from websockets.sync.client import ClientConnection

OTHER_USER = """\
import os, socket, sys
os.setgid(54321)
os.setuid(54321)
with socket.socket() as sock:
    sock.connect(("127.0.0.1", int(sys.argv[1])))
    sock.sendall(f"GET / HTTP/1.1\\r\\nHost: {sys.argv[2]}\\r\\n\\r\\n".encode())
    print(sock.recv(12).decode())
"""
FLOOD = "read go; seq 1 400000; read go; echo the end; cat"
SERVICES = ("/runs", "/terminal", "/traffic")


@pytest.fixture
def page(moat: Moat) -> Iterator[WebPage]:
    with WebPage(moat) as server:
        yield server


def test_what_the_page_is_made_of(page: WebPage) -> None:
    """Files of the package alone, with fields by which a browser lets nobody else in."""
    status, fields, content = page.get("/")
    assert status == 200
    policy = fields["content-security-policy"]
    assert "unsafe" not in policy
    for each in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"):
        assert each in policy
    assert f"connect-src ws://{page.host};" in policy
    [nonce] = re.findall("'nonce-(.*?)'", policy)
    assert f'nonce="{nonce}"'.encode() in content
    assert nonce.encode() not in page.get("/")[2]
    assert (fields["x-content-type-options"], fields["cache-control"]) == ("nosniff", "no-store")
    assert "set-cookie" not in fields
    assert page.token.encode() not in content
    named = re.findall(rb'(?:src|href)="(/[^"]+)"', content)
    assert len(named) == 4
    for path in (*(each.decode() for each in named), "/vendor/xterm/LICENSE.txt"):
        status, fields, content = page.get(path)
        assert (status, bool(content)) == (200, True), path
        assert fields["x-content-type-options"] == "nosniff"
    for path in ("/index.html", "/../server.py", "/%2e%2e/server.py", "//", "/?x", "/vendor/"):
        assert page.get(path)[0] == 404, path


def test_other_methods_are_refused(page: WebPage) -> None:
    """The page has nothing that could be changed by one, or asked about (CORS)."""
    for method in ("HEAD", "OPTIONS", "DELETE"):
        assert page.ask(f"{method} / HTTP/1.1\nHost: {page.host}\n\n")[0] == 405
    posted = f"POST /runs HTTP/1.1\nHost: {page.host}\nContent-Length: 1\n\nx"
    assert page.ask(posted)[0] in {0, 405}


def test_another_host_is_refused(page: WebPage) -> None:
    """One whose name leads here (DNS rebinding), or none, or two."""
    others = (f"127.0.0.1:{page.port}", f"localhost:{page.port}", "evil.example", f"x{page.host}")
    for host in (*others, page.host.partition(":")[0], f"{page.host}\nHost: {page.host}"):
        status, _, content = page.ask(f"GET / HTTP/1.1\nHost: {host}\n\n")
        assert status == 421, host
        assert page.host.encode() not in content
    assert page.ask("GET / HTTP/1.1\n\n")[0] == 421


@pytest.mark.parametrize("path", SERVICES)
def test_another_origin_is_refused(page: WebPage, path: str) -> None:
    """A page of another site can't make a connection, whatever it knows."""
    origins = ("http://evil.example", "null", f"http://127.0.0.1:{page.port}", f"{page.origin}0")
    for origin in (*origins, None):
        with pytest.raises(InvalidStatus) as refused, page.socket(path, origin=origin):
            pass
        assert refused.value.response.status_code == 403
    assert page.get(path)[0] == 403


@pytest.mark.parametrize("path", SERVICES)
def test_a_wrong_secret_is_refused(page: WebPage, path: str) -> None:
    """And so is a page that says something else first."""
    for secret in ("", "x", page.token[:-1], page.token + "x", "\ud800"):
        with page.socket(path) as connection:
            say(connection, "opening", secret=secret)
            with pytest.raises(ConnectionClosedError) as closed:
                connection.recv(timeout=TIMEOUT_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
    opening = json.dumps({"type": "opening", "secret": page.token})
    for first in (b"x", opening.encode(), "[", "[]", "{}", '{"type": "opening"}', "[" * 9999):
        with page.socket(path) as connection:
            connection.send(first)
            with pytest.raises(ConnectionClosedError) as closed:
                connection.recv(timeout=TIMEOUT_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008, first


@pytest.mark.parametrize(
    ("path", "messages"),
    [
        ("/terminal", ['{"type": "open_terminal", "run": "none", "columns": 0, "rows": 24}']),
        ("/terminal", ['{"type": "open_traffic", "run": "x"}']),
        ("/terminal", ["OPEN", '{"type": "drawn", "bytes": 99999999}']),
        ("/terminal", ["OPEN", '{"type": "drawn", "bytes": -1}']),
        ("/terminal", ["OPEN", '{"type": "resize", "columns": 99999, "rows": 1}']),
        ("/terminal", ["OPEN", '{"type": "show_ended", "shown": true}']),
        ("/runs", ['{"type": "drawn", "bytes": 1}']),
        ("/runs", [b"x"]),
        ("/traffic", ['{"type": "show_ended", "shown": true}']),
    ],
)
def test_nonsense_ends_a_connection(
    moat: Moat, page: WebPage, path: str, messages: list[str | bytes]
) -> None:
    """And nothing else: the server goes on."""
    moat.ok("run", "-d", "-i", "-t", "-n", "x", "--", "cat")
    opened = json.dumps({"type": "open_terminal", "run": "x", "columns": 80, "rows": 24})
    with page.socket(path) as connection:
        say(connection, "opening", secret=page.token)
        for each in messages:
            connection.send(opened if each == "OPEN" else each)
        assert closing_code(connection) == 1008
    with page.viewer("x") as viewer:
        viewer.next_message("shown")
    assert page.end(signal.SIGINT)[0] == 0


def test_other_users_are_refused(page: WebPage) -> None:
    """Whatever they know."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    words = [sys.executable, "-I", "-S", "-c", OTHER_USER, str(page.port), page.host]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert said == "HTTP/1.1 403\n"


def test_both_loopbacks_are_the_pages_and_nothing_else_is(page: WebPage) -> None:
    """A browser that tries ::1 first finds no stranger there; no other address is listened at."""
    for address in ("127.0.0.1", "::1"):
        assert page.ask(f"GET / HTTP/1.1\nHost: {page.host}\n\n", address=address)[0] == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", page.port), TIMEOUT_S)


def test_a_page_that_stalls_makes_nobody_wait(moat: Moat, page: WebPage) -> None:
    """It is skipped, and gets the screen of then when it goes on; the program never waits for it."""
    moat.ok("run", "-d", "-i", "-t", "-n", "one", "--", "sh", "-c", FLOOD)
    with page.viewer("one") as stalled, page.viewer("one") as other:
        stalled.next_message("shown")
        other.next_message("shown")
        other.connection.send(b"go\r")
        other.shows(b"400000")
        other.connection.send(b"go\r")
        other.shows(b"the end")
        # Until its window is full it got the beginning; then nothing, until it has drawn that.
        stalled.shows(b"the end")
        assert len(stalled.output) < 2_000_000  # of 3 MB
    assert "the end" in moat.ok("screen", "one")


def test_what_is_typed_waits_for_the_program(moat: Moat, page: WebPage) -> None:
    """As much as its window; who sends more has not kept to it. All of it arrives."""
    count = "stty raw -echo; echo ready; read go </dev/null; head -c 1000000 | cksum; cat"
    moat.ok("run", "-d", "-i", "-t", "-n", "one", "--", "sh", "-c", count)
    piece = b"x" * 50_000
    with page.viewer("one") as viewer:
        viewer.shows(b"ready")
        consumed = 0
        for number in range(20):
            while (number + 1) * len(piece) - consumed > 256 * 1024:
                consumed = viewer.next_message("consumed")["bytes"]
            viewer.connection.send(piece)
        viewer.shows(b" 1000000")
    moat.ok(
        "run", "-d", "-i", "-t", "-n", "deaf", "--", "sh", "-c", "stty raw; echo ready; sleep 99"
    )
    with page.viewer("deaf") as viewer:
        viewer.shows(b"ready")
        with suppress(ConnectionClosedError):
            for _ in range(20):
                viewer.connection.send(piece)
        assert closing_code(viewer.connection) == 1008


def closing_code(connection: ClientConnection) -> int | None:
    """The code with which a connection is closed, behind all that comes before."""
    with suppress(ConnectionClosedError):
        while True:
            connection.recv(timeout=TIMEOUT_S)
    return connection.close_code


def test_a_read_only_server_takes_nothing(moat: Moat) -> None:
    """Whatever a page says that claims to type."""
    moat.ok(
        "run", "-d", "-i", "-t", "-n", "one", "--", "sh", "-c", "read line; echo got $line; cat"
    )
    with WebPage(moat, "--read-only") as page:
        with page.viewer("one", read_only=False) as viewer:
            assert viewer.next_message("shown")["typing"] is False
            viewer.connection.send(b"typed\r")
            moat.ok("send", "one", "sent\r")
            viewer.shows(b"got sent")
        with page.socket("/runs") as connection:
            say(connection, "opening", secret=page.token)
            say(connection, "answer_question", run="one", name="host x:80", allow=True)
            answers = [json.loads(connection.recv(timeout=TIMEOUT_S)) for _ in range(2)]
            while answers[-1]["type"] != "answered":
                answers.append(json.loads(connection.recv(timeout=TIMEOUT_S)))
            assert answers[-1]["error"] == "this page is read-only"


def test_a_run_that_is_not_there(page: WebPage) -> None:
    """A line says so, and the connection ends as it should."""
    with page.viewer("none") as viewer:
        assert "none" in viewer.next_message("failed")["summary"]
    with page.socket("/traffic") as connection:
        say(connection, "opening", secret=page.token)
        say(connection, "open_traffic", run="none")
        heard = [json.loads(each) for each in connection]
        assert [each["type"] for each in heard] == ["welcome", "failed"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_the_server_and_no_run(moat: Moat, number: int) -> None:
    """With exit code 0, also while pages are open; viewers are detached."""
    moat.ok("run", "-d", "-i", "-t", "-n", "one", "--", "cat")
    server = WebPage(moat)
    with server.viewer("one") as viewer:
        viewer.next_message("shown")
        assert server.end(number) == (0, b"moat: serving until Ctrl-C\n")
    moat.ok("send", "one", "x")
    assert moat.inspect("one")["state"] == "running"


def test_a_server_without_a_terminal_goes_on(moat: Moat) -> None:
    """Under nohup, which has SIGHUP ignored."""
    ignoring = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    with WebPage(moat, preexec_fn=ignoring) as server:
        os.kill(server.pid, signal.SIGHUP)
        assert server.get("/")[0] == 200


def test_the_address_that_is_opened_is_good_for_one_page(moat: Moat, tmp_path: Path) -> None:
    """Other users see it, among the arguments of the browser."""
    told = tmp_path / "told"
    os.mkfifo(told)
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" >{told}\n')
    program.chmod(0o755)
    environment = moat.environment | {"BROWSER": str(program)}
    with WebPage(moat, "--open", env=environment) as page:
        origin, _, ticket = told.read_text().strip().partition("/#")
        assert origin == page.origin
        assert ticket != page.token
        with page.socket("/runs") as connection:
            say(connection, "opening", secret=ticket)
            welcome = json.loads(connection.recv(timeout=TIMEOUT_S))
            assert welcome["token"] == page.token
        with page.socket("/runs") as connection:
            say(connection, "opening", secret=ticket)
            assert closing_code(connection) == 4401


def test_a_supervisor_that_hangs_keeps_nobody(moat: Moat, page: WebPage) -> None:
    """Neither the viewers of other runs, nor the end of the server."""
    for name in ("stuck", "other"):
        moat.ok("run", "-d", "-i", "-t", "-n", name, "--", "cat")
    supervisor = moat.supervisor("stuck")
    os.kill(supervisor, signal.SIGSTOP)
    try:
        with page.viewer("stuck"), page.viewer("other") as other:
            other.next_message("shown")
            other.connection.send(b"typed\r")
            other.shows(b"typed")
            assert page.end(signal.SIGINT)[0] == 0
    finally:
        os.kill(supervisor, signal.SIGCONT)


def test_a_port_that_is_taken(moat: Moat, page: WebPage) -> None:
    """One line says which, and what to do."""
    done = moat("web", "--no-open", "--port", str(page.port))
    assert done.returncode == 125
    assert done.stderr.splitlines()[0] == (
        f"moat: the page can't have port {page.port}: address already in use"
    )
