"""The network of a run, through the installed command: what passes, what does not, the record."""

from __future__ import annotations

import json
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import TIMEOUT_S
from tests.origin import Origin

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat


class Site:
    """origin.test, as runs of the workspace reach it."""

    def __init__(self, origin: Origin, workspace: Path, ca: str) -> None:
        self.origin = origin
        self._workspace = workspace
        (workspace / "ca.pem").write_text(ca)

    @property
    def url(self) -> str:
        return f"https://origin.test:{self.origin.port}"

    @property
    def opening(self) -> str:
        """A rule that opens the origin's port and says nothing about its host."""
        return f"allow opened.test:{self.origin.port}"

    def allow(self, *rules: str, **network: Any) -> None:
        settings = {
            "hosts": {"origin.test": "127.0.0.1"},
            "private": ["127.0.0.0/8"],
            "upstream_ca": "ca.pem",
            "rules": list(rules),
        }
        text = json.dumps({"network": settings | network})
        (self._workspace / "agent.yaml").write_text(text)


@pytest.fixture
def site(moat: Moat, tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "ca"
    folder.mkdir()
    authority = CertificateAuthority.load_or_create(folder)
    with Origin(authority.context("origin.test", ("http/1.1",))) as origin:
        moat.trust_projects()
        found = Site(origin, moat.workspace, authority.certificate_pem.decode())
        found.allow(f"allow origin.test:{origin.port}")
        yield found


def _trace(moat: Moat, run: str, kind: str) -> list[dict[str, Any]]:
    lines = moat.ok("trace", run, "--json").splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def _python(code: str) -> list[str]:
    return ["python3", "-c", textwrap.dedent(code)]


def test_a_program_that_knows_no_proxy_reaches_a_server(moat: Moat, site: Site) -> None:
    """No variable, no option: the system's certificates, and TLS from end to end of the proxy."""
    done = moat("run", "--name", "one", "--", "env", "-i", "curl", "-sS", f"{site.url}/plain")

    assert (done.returncode, done.stdout) == (0, "hello from /plain"), done.stderr
    [request] = _trace(moat, "one", "request")
    assert (request["host"], request["path"], request["status"]) == ("origin.test", "/plain", 200)
    assert next(row["host"] for row in _trace(moat, "one", "dns")) == "origin.test"


@pytest.mark.parametrize(
    "options",
    [
        ["-x", "http://127.0.0.1:3128"],
        ["--socks5-hostname", "127.0.0.1:3128"],
        ["--socks5", "127.0.0.1:3128"],
        ["--http1.0"],
        ["--http2"],
    ],
    ids=" ".join,
)
def test_every_way_to_ask_leads_through_the_proxy(
    moat: Moat, site: Site, options: list[str]
) -> None:
    """An ordinary proxy for programs that insist on one, and each version of HTTP."""
    done = moat("run", "--name", "one", "--", "curl", "-sS", *options, f"{site.url}/x")

    assert (done.returncode, done.stdout) == (0, "hello from /x"), done.stderr
    assert len(_trace(moat, "one", "request")) == 1


def test_what_is_denied_says_why_inside_and_outside(moat: Moat, site: Site) -> None:
    """The agent reads it in the answer, the user in the record."""
    site.allow(
        "deny * origin.test/secret/**", f"allow origin.test:{site.origin.port}", policy="strict"
    )

    done = moat("run", "--name", "one", "--", "curl", "-sS", f"{site.url}/secret/x")

    assert "denied by rule: deny * origin.test/secret/**. To change: moat allow one" in done.stdout
    assert site.origin.heads == []
    [request] = _trace(moat, "one", "request")
    assert (request["verdict"], request["status"]) == ("denied", 403)


def test_names_without_a_rule_do_not_exist_under_strict(moat: Moat, site: Site) -> None:
    """NXDOMAIN, and a record: the question itself goes nowhere."""
    site.allow("allow origin.test", policy="strict")
    ask = _python("""
        import socket
        for name in ("origin.test", "secret.attacker.example"):
            try: print(socket.gethostbyname(name))
            except OSError as exc: print(exc.errno)
    """)

    done = moat("run", "--name", "one", "--", *ask)

    assert done.stdout.splitlines() == ["198.18.0.1", "-2"]
    assert ("secret.attacker.example", "denied") in {
        (row["host"], row["verdict"]) for row in _trace(moat, "one", "dns")
    }


def test_a_denied_name_is_answered_with_its_rule(moat: Moat, site: Site) -> None:
    """Where names exist by default: whatever way a program asks, it reads which rule denies it."""
    site.allow("deny s3.test", policy="permissive")
    ways = ("", "-k", "-x 127.0.0.1:3128", "--socks5-hostname 127.0.0.1:3128")
    asks = [f"curl -sS {way} {scheme}://s3.test/" for way in ways for scheme in ("http", "https")]

    done = moat("run", "--name", "one", "--", "sh", "-c", "; ".join(asks))

    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == len(asks)
    assert all(
        "denied by rule: deny s3.test. To change: moat allow one s3.test" in each for each in lines
    )
    rows = _trace(moat, "one", "request")
    assert [row["rule"] for row in rows] == ["deny s3.test"] * len(asks)
    assert {row["verdict"] for row in _trace(moat, "one", "dns")} == {"allowed"}


def test_dig_shows_why_a_name_does_not_exist(moat: Moat, site: Site) -> None:
    """An extended error (RFC 8914), and the same rule in the record."""
    site.allow("deny s3.test", "allow origin.test", policy="strict")

    done = moat("run", "--name", "one", "--", "sh", "-c", "dig s3.test; dig x.test")

    assert "EDE: 15 (Blocked): (moat: s3.test denied by rule: deny s3.test." in done.stdout
    assert "EDE: 15 (Blocked): (moat: x.test denied: no rule allows it (policy: str" in done.stdout
    rules = [row["rule"] for row in _trace(moat, "one", "dns")]
    assert rules == ["deny s3.test", "policy: strict"]


DIG = {
    "origin.test": "NOERROR 198.18.0.1",
    "@8.8.8.8 origin.test": "NOERROR 198.18.0.1",
    "+tcp @2001:4860:4860::8888 origin.test": "NOERROR 198.18.0.1",
    "+dnssec +bufsize=512 origin.test AAAA": "NOERROR ",
    "origin.test HTTPS": "NOERROR ",
    "secret.attacker.example": "NXDOMAIN ",
    "+tcp @1.1.1.1 secret.attacker.example TXT": "NXDOMAIN ",
    f"@9.9.9.9 {'a' * 63}.{'b' * 63}.attacker.example NULL": "NXDOMAIN ",
    "-x 10.0.0.1": "NXDOMAIN ",
}


def test_dig_is_answered_here_whomever_it_asks(moat: Moat, site: Site) -> None:
    """Any type, over UDP and TCP, and each question is in the record."""
    site.allow("allow origin.test", policy="strict")
    status = r"s/.*status: \([A-Z]*\).*/\1/p; s/.*[[:space:]]A[[:space:]]\([0-9.]*\)$/ \1/p"
    asks = [f"dig +tries=1 {each} | sed -n '{status}' | tr -d '\n'; echo" for each in DIG]

    done = moat("run", "--name", "one", "--", "sh", "-c", "; ".join(asks))

    found = (line.split() for line in done.stdout.splitlines())
    assert dict(zip(DIG, map(" ".join, found), strict=True)) == {
        question: answer.strip() for question, answer in DIG.items()
    }
    rows = _trace(moat, "one", "dns")
    assert len(rows) == len(DIG)
    assert [row["verdict"] for row in rows].count("denied") == 4


def test_every_other_way_is_refused_at_once_and_written_down(moat: Moat) -> None:
    """By the kernel, with no timeout: other ports, UDP, IPv6. Loopback is the program's own."""
    attempts = _python("""
        import socket
        def attempt(family, kind, address, port):
            with socket.socket(family, kind) as sock:
                sock.settimeout(5)
                try:
                    sock.connect((address, port)); sock.send(b"x"); sock.recv(1)
                    print("sent")
                except OSError as exc:
                    print(exc.errno)
        v4, v6 = socket.AF_INET, socket.AF_INET6
        attempt(v4, socket.SOCK_STREAM, "8.8.8.8", 22)
        attempt(v6, socket.SOCK_STREAM, "2001:db8::1", 8080)
        attempt(v4, socket.SOCK_DGRAM, "1.1.1.1", 443)
        attempt(v6, socket.SOCK_DGRAM, "2001:db8::1", 443)
        attempt(v4, socket.SOCK_STREAM, "127.0.0.1", 9)
    """)

    done = moat("run", "--name", "one", "--", *attempts)

    assert done.stdout.split() == ["111"] * 5  # ECONNREFUSED
    assert {
        (row["scheme"], row["host"], row["port"]) for row in _trace(moat, "one", "refusal")
    } == {
        ("tcp", "8.8.8.8", 22),
        ("tcp", "2001:db8::1", 8080),
        ("udp", "1.1.1.1", 443),
        ("udp", "2001:db8::1", 443),
    }


def test_the_policy_of_a_running_run_is_changed_from_outside(moat: Moat, site: Site) -> None:
    """At once; it outlives the supervisor; what the run writes into its workspace changes nothing."""
    site.allow(policy="strict")
    curl = f"curl -sS -o /dev/null -w '%{{http_code}}\\n' -x 127.0.0.1:3128 {site.url}/"
    inside = (
        f"echo 'network: {{policy: permissive}}' >agent.yml; while read line; do {curl} 2>&1; done"
    )
    moat.ok("run", "-d", "-i", "--name", "one", "--", "sh", "-c", inside)

    def answer(seen: str) -> None:
        moat.ok("send", "one", "go\n")
        moat.ok("wait", "one", "--text", seen)

    answer("CONNECT tunnel failed, response 403")
    moat.ok("allow", "one", f"origin.test:{site.origin.port}")
    answer("200")
    moat.kill("one", "supervisor")
    assert "allow origin.test" in moat.ok("policy", "one")
    moat.ok("deny", "one", "origin.test")
    moat.ok("send", "one", "go\n")
    moat.ok("kill", "one")

    assert len(site.origin.heads) == 1


def test_connections_wait_for_the_next_supervisor(moat: Moat, site: Site) -> None:
    """The command goes on asking while nobody looks after it, and gets its answer."""
    inside = f"read line; curl -sS --retry 0 -m 300 {site.url}/later"
    moat.ok("run", "-d", "-i", "--name", "one", "--", "sh", "-c", inside)
    moat.kill("one", "supervisor")

    moat.ok("send", "one", "go\n")
    assert moat("wait", "one").returncode == 0

    assert moat.ok("logs", "one").endswith("hello from /later")
    assert [row["status"] for row in _trace(moat, "one", "request")] == [200]


def test_raw_tcp_is_opened_by_name_and_port(moat: Moat, site: Site) -> None:
    """`network.tcp`: bytes both ways, recorded as such; the TLS inside is the server's own."""
    port = site.origin.port
    site.allow(tcp=[f"origin.test:{port}"], policy="strict")

    done = moat(
        *("run", "--name", "one", "--", "curl", "-sS", "--cacert", "ca.pem", f"{site.url}/raw"),
        timeout=TIMEOUT_S,
    )

    assert done.stdout == "hello from /raw", done.stderr
    [tunnel] = _trace(moat, "one", "tunnel")
    assert (tunnel["host"], tunnel["port"]) == ("origin.test", port)
    assert tunnel["sent"] > 0
    assert tunnel["received"] > 0


def test_a_pinned_client_is_let_through_by_its_sni(moat: Moat, site: Site) -> None:
    """`network.passthrough`: its own certificates count; another name in the handshake is refused."""
    port = site.origin.port
    site.allow(f"allow origin.test:{port}", passthrough=["origin.test"], policy="strict")
    pinned = f"curl -sS --cacert ca.pem {site.url}/pinned"
    foreign = (
        f"curl -sS -k --connect-to evil.test:{port}:origin.test:{port} https://evil.test:{port}/"
    )

    done = moat("run", "--name", "one", "--", "sh", "-c", f"{pinned}; {foreign}")

    assert done.stdout == "hello from /pinned"
    assert [row["verdict"] for row in _trace(moat, "one", "tunnel")] == ["allowed"]
    assert any("names evil.test" in row["error"] for row in _trace(moat, "one", "refusal"))


def test_who_watches_is_asked(moat: Moat, terminal: Any, site: Site) -> None:
    """Under `ask`: a line on the attached terminal and in the list, until somebody has answered."""
    site.allow(site.opening, policy="ask")
    page = "printf '\\033[2J\\033[H'; seq 1 10"
    inside = f"read line; {page}; curl -sS -x 127.0.0.1:3128 {site.url}/asked; read line"
    window = terminal("run", "-i", "-n", "one", "--", "sh", "-c", inside)
    window.send(b"\n")

    window.shows("origin.test waits for an answer: moat allow one origin.test, or deny")
    assert "origin.test" in moat.ok("list")
    [waiting] = moat.json("policy", "one", "--json")["waiting"]
    assert (waiting["host"], waiting["method"]) == ("origin.test", "GET")
    [run] = moat.json("list", "--json")
    assert run["waiting"] == [f"origin.test:{site.origin.port}"]
    assert [row["verdict"] for row in _trace(moat, "one", "request")] == ["asking"]
    moat.ok("allow", "one", "origin.test")

    window.shows("hello from /asked")
    window.until(lambda: "waits for an answer" not in window.screen.text())
    assert "waits" not in moat.ok("list")
    window.send(b"\n")
    assert window.wait() == 0


def test_each_request_that_waits_is_answered_for_itself(moat: Moat, site: Site) -> None:
    """By its method and path, whichever asked first; what is said to be answered is."""
    site.allow(site.opening, policy="ask")
    curl = f"curl -sS -x 127.0.0.1:3128 -o /dev/null -w '%{{method}} %{{http_code}}\\n' {site.url}"
    asks = f"{curl}/one & {curl}/two -d x & {curl}/three -X PUT & read line"
    moat.ok("run", "-d", "-i", "-n", "one", "--", "sh", "-c", asks)
    _until_waiting(moat, "one", 3)

    def saw(text: str) -> None:
        moat.ok("wait", "one", "--text", text)

    assert "; 1 waiting request answered" in moat.ok("allow", "one", "GET", "origin.test/one")
    saw("GET 200")
    assert "; 1 waiting request answered" in moat.ok("deny", "one", "PUT", "origin.test")
    saw("PUT 403")
    assert "answered" not in moat.ok("allow", "one", "DELETE", "origin.test")
    port = site.origin.port
    assert f"waits for an answer: POST origin.test:{port}/two\n" in moat.ok("policy", "one")
    assert "; 1 waiting request answered" in moat.ok("allow", "one", "POST", "origin.test")
    saw("POST 200")


@pytest.mark.parametrize("options", ["", "--http2"])
def test_nobody_is_asked_for_who_gave_up(moat: Moat, site: Site, options: str) -> None:
    """The question ends with its request, everywhere."""
    site.allow(site.opening, policy="ask")
    curl = f"curl -sS -x 127.0.0.1:3128 {options} {site.url}/held"
    inside = f"{curl} & read line; kill $!; read line"
    moat.ok("run", "-d", "-i", "-n", "one", "--", "sh", "-c", inside)
    _until_waiting(moat, "one", 1)

    moat.ok("send", "one", "stop\n")
    _until_waiting(moat, "one", 0)

    assert "answered" not in moat.ok("allow", "one", "origin.test")
    [row] = _trace(moat, "one", "request")
    assert (row["verdict"], row["in_progress"]) == ("failed", False)
    assert site.origin.heads == []


def _until_waiting(moat: Moat, run: str, count: int) -> None:
    """Until so many requests wait for the user. Nothing tells of it: this looks again and again."""
    deadline = time.monotonic() + TIMEOUT_S
    while len(found := moat.json("policy", run, "--json")["waiting"]) != count:
        assert time.monotonic() < deadline, found
    while ("waits for an answer" in (listed := moat.ok("list"))) != bool(count):
        assert time.monotonic() < deadline, listed


ASKER = _python("""
    import socket, sys
    held = []
    for line in sys.stdin:
        for each in line.split():
            held.append(socket.create_connection(each.split(":")))
            held[-1].sendall(b"GET / HTTP/1.1\\r\\nHost: %b\\r\\n\\r\\n" % each.encode())
""")


def _until_listed(moat: Moat, run: str, *waiting: str) -> None:
    """Until these wait for the user. Nothing tells of it: this looks again and again."""
    deadline = time.monotonic() + TIMEOUT_S
    while (found := sorted(moat.inspect(run)["waiting"])) != sorted(waiting):
        assert time.monotonic() < deadline, found


def test_all_that_wait_are_told_to_all_who_watch(moat: Moat, terminal: Any, site: Site) -> None:
    """Hosts that are asked about at once, also to those who come later; and while they wait."""
    site.allow(policy="ask", rules=[])
    window = terminal("run", "-i", "-n", "one", "--", *ASKER)
    window.send(b"a.test:80 b.test:80\n")

    window.shows("2 hosts wait for an answer: b.test, a.test; moat allow one HOST")
    late = terminal("attach", "one")
    late.shows("2 hosts wait for an answer: b.test, a.test")
    piped = moat.start("attach", "one")
    assert b"moat: 2 hosts wait for an answer" in piped.stderr.readline()

    moat.ok("allow", "one", "a.test")
    for each in (window, late):
        each.shows("moat: b.test waits for an answer: moat allow one b.test, or deny")
        assert "2 hosts" not in each.screen.text()
    moat.ok("kill", "one")
    piped.communicate(timeout=TIMEOUT_S)


def test_each_port_of_a_host_is_listed(moat: Moat, site: Site) -> None:
    """Also when another of its ports waits already, or still."""
    site.allow(policy="ask", rules=[])
    moat.ok("run", "-d", "-i", "-n", "one", "--", *ASKER)
    moat.ok("send", "one", "a.test:80\n")
    _until_listed(moat, "one", "a.test:80")
    moat.ok("send", "one", "a.test:443\n")
    _until_listed(moat, "one", "a.test:80", "a.test:443")
    moat.ok("deny", "one", "a.test:80")
    _until_listed(moat, "one", "a.test:443")


def test_a_notice_is_no_wider_than_its_terminal(moat: Moat, terminal: Any, site: Site) -> None:
    """It would wrap on the last row, and scroll the program's screen."""
    site.allow(policy="ask", rules=[])
    host = f"{'a' * 60}.{'b' * 30}.test"
    page = "printf '\\033[2J\\033[H'; seq 1 10"
    inside = f"{page}; read line; curl -sS -x 127.0.0.1:3128 http://{host}/; read line"
    window = terminal("run", "-i", "-n", "one", "--", "sh", "-c", inside)
    window.shows("10")
    before = window.screen.text().splitlines()
    window.send(b"\n")

    window.until(lambda: window.screen.text().splitlines()[-1].endswith("…"), "the notice")
    shown = window.shows(f"moat: {'a' * 60}.").splitlines()
    assert shown[:10] == before[:10]
    assert shown[-1].endswith("…")
    assert len(shown[-1]) == 79
    moat.ok("kill", "one")


def test_who_follows_sees_what_waits_and_what_came_of_it(moat: Moat, site: Site) -> None:
    """Once while it can still be answered, and once when it is over."""
    site.allow(site.opening, policy="ask")
    curl = f"curl -sS -x 127.0.0.1:3128 {site.url}/asked"
    moat.ok("run", "-d", "-n", "one", "--", "sh", "-c", curl)
    follower = moat.start("trace", "one", "-f", "--json", "--kind", "request")

    asking = json.loads(follower.stdout.readline())
    assert (asking["verdict"], asking["in_progress"]) == ("asking", True)
    moat.ok("allow", "one", "origin.test")
    out, err = follower.communicate(timeout=TIMEOUT_S)
    [done] = map(json.loads, out.splitlines())

    assert (follower.returncode, err) == (0, b"")
    assert (done["verdict"], done["in_progress"], done["status"]) == ("allowed", False, 200)
    assert done["id"] == asking["id"]
