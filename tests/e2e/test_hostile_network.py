"""A hostile program looks for a way out that is not the proxy's, or one through it that no rule opens.

All tries are made in one run under `strict`, and those that only a lax policy would let far in one
under `permissive`.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.attacks import PROXY, Attacked, Conversation, attacked
from tests.e2e.conftest import ENGINES, engine_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.container_engines import ContainerEngine

INWARD = {
    "loop.test": "127.0.0.1",
    "meta.test": "169.254.169.254",
    "ten.test": "10.0.0.1",
    "ula.test": "fd12:3456::1",
    "loop6.test": "::1",
    "mapped.test": "::ffff:127.0.0.1",
    "zero.test": "0.0.0.0",
    "carrier.test": "100.64.0.1",
    "linklocal.test": "fe80::1",
    "nat64.test": "64:ff9b::7f00:1",
    "sixtofour.test": "2002:7f00:1::1",
    "ours.test": "198.18.0.1",
}
"""Allowed names whose addresses are nobody's business."""

RULES = "\n".join(f"    - allow {name}" for name in INWARD)
NAMES = ", ".join(f"'{name}': '{address}'" for name, address in INWARD.items())
COMMON = f"""
  hosts: {{plain.test: 127.0.0.1, origin.test: 127.0.0.1, {NAMES}}}
  private: [plain.test, origin.test]
  rules:
{RULES}
    - allow plain.test:PLAIN
    - allow origin.test:SECURE
    - allow pinned.test
  passthrough: [pinned.test]
  timeouts: {{header: 10s, tls: 10s, idle: 10s, connect: 10s}}
"""

MARK = "MOAT_TEST_MARK_OF_THE_HOST"
ABSTRACT = f"moat-test-{os.getpid()}"

WORLD = ("8.8.8.8", "2001:4860:4860::8888", "169.254.169.254", "224.0.0.251", "255.255.255.255")
HERE = ("127.0.0.1", "::1", "::ffff:127.0.0.1")

# What the kernel says where nobody listens, or where one may not.
REFUSED = {
    *("ECONNREFUSED", "EPERM", "EACCES", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"),
    *("EINVAL", "ENOENT", "ENOSYS", "EADDRINUSE", "ENETUNREACH", "EADDRNOTAVAIL", "ENOPROTOOPT"),
}

FORMS_OF_LOOPBACK = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001"),
    *("127.000.000.001", "127.0.0.1.", "0.0.0.0", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]"),
    *("[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "localhost"),
    *("LOCALHOST", "localhost.", "a.localhost", "169.254.169.254", "[fd00:ec2::254]"),
    *("168.63.129.16", "10.0.0.1", "[fe80::1]", "[fe80::1%25lo]", "198.18.255.254"),
]
NAMES_LIKE_IT = [
    *("plain.test.evil.test", "evilplain.test", "xplain.test", "plain.tes", "plain", "test"),
    *("plain.test..", "plain..test", ".plain.test", "plain.test%00", "plain.test%00.evil.test"),
    *(
        "evil.test\0.plain.test",
        "plain.test\0.evil.test",
        "user@plain.test",
        "plain.test@evil.test",
    ),
    *("user@plain.test@evil.test", "plain.test,evil.test", "plain.test evil.test", "plain_test"),
    *("\N{CYRILLIC SMALL LETTER ER}lain.test", "xn--lain-55d.test", "plain\N{SOFT HYPHEN}.test"),
    *("*.test", "*", "**", "-plain.test", "plain.test/evil", "plain.test#", "plain.test?"),
]


def lan_addresses() -> list[str]:
    """This machine's own, as others see it."""
    found: list[str] = []
    for family, world in ((socket.AF_INET, WORLD[0]), (socket.AF_INET6, WORLD[1])):
        with socket.socket(family, socket.SOCK_DGRAM) as sock, suppress(OSError):
            sock.connect((world, 53))  # asks the routing table, sends nothing
            found.append(sock.getsockname()[0])
    return found


# --- past the proxy ---


class Escape:
    """All tries that need no proxy."""

    def __init__(self, target: Attacked) -> None:
        self.target = target
        moat = target.moat
        run = moat.home / "runs" / moat.inspect("x")["id"]
        self.paths = [run / name for name in ("supervisor.sock", "shim.sock", "authority.pem")]
        self.paths += [moat.home / "moat.db", run / "run.db"]
        settings = {
            "addresses": [*HERE, *lan_addresses(), *WORLD],
            "ports": [target.bystander.port, 22],
            "captured": [target.plain.port, 53, 80, 443],
            "paths": [str(path) for path in self.paths],
            "abstract": [ABSTRACT],
            "mark": MARK,
        }
        (moat.workspace / "settings.json").write_text(json.dumps(settings))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"\0{ABSTRACT}")
            listener.listen()
            self.found: dict[str, Any] = json.loads(target.program("escape.py", "settings.json"))
            listener.setblocking(False)
            self.was_called = True
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                self.was_called = False


@pytest.fixture(scope="module", params=ENGINES)
def strict(
    request: pytest.FixtureRequest, container_engine: Callable[[str], ContainerEngine]
) -> Iterator[Attacked]:
    engine = engine_named(request.param, container_engine)
    with attacked("  policy: strict" + COMMON, engine, **{MARK: "1"}) as target:
        yield target


@pytest.fixture(scope="module")
def escape(strict: Attacked) -> Escape:
    return Escape(strict)


def test_every_way_past_the_proxy_is_refused_at_once(escape: Escape) -> None:
    """TCP, UDP and what else there is, to any address; namespaces; the terminal; the supervisor."""
    tries = {name: what for name, what in escape.found.items() if isinstance(what, str)}
    assert len(tries) > 100
    ways = {
        name: what
        for name, what in tries.items()
        if what not in REFUSED | {"no such program"} and not what.startswith("exit ")
    }
    assert ways == {}


def test_nobody_outside_has_noticed(escape: Escape) -> None:
    """Not the host's services on any of its addresses, not its abstract sockets."""
    assert escape.target.bystander.reached() == []
    assert not escape.was_called


def test_what_is_outside_is_not_there(escape: Escape) -> None:
    """No socket, no process, no descriptor, no key of anybody else's, and no capability."""
    assert all(path.exists() for path in escape.paths[:1])
    found = escape.found
    assert found["unix sockets"] == []
    assert found["marked"] == []
    assert found["keys"] == []
    assert len(found["processes"]) < 6
    assert set(found["capabilities"]) == {"0" * 16}
    assert all(each.startswith(("pipe:", "/dev/null")) for each in found["descriptors"])


# --- DNS ---

SERVERS = ("127.0.0.1", "8.8.8.8", "198.51.100.7", "2001:4860:4860::8888", "::1")
A, NULL, CNAME, TXT, AAAA, HTTPS, AXFR, ANY = 1, 10, 5, 16, 28, 65, 252, 255
LONG = ".".join(["c2VjcmV0" * 7] * 4)
"""Labels of 56 bytes, as a tunnel fills them."""


def _question(name: str | bytes, kind: int, *, flags: int = 0x0100, klass: int = 1) -> bytes:
    if isinstance(name, str):
        labels = [label.encode() for label in name.split(".")]
        name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    return struct.pack("!6H", 7, flags, 1, 0, 0, 0) + name + struct.pack("!HH", kind, klass)


DENIED_QUESTIONS = {
    f"{name[:20]} {kind} {transport} {server}": (transport, server, name, kind)
    for name in ("secret.attacker.example", f"{LONG}.a.example")
    for kind in (A, NULL, CNAME, TXT, AAAA, HTTPS, ANY)
    for transport, server in (("udp", SERVERS[1]), ("tcp", SERVERS[2]))
} | {f"A {server}": ("udp", server, "secret.attacker.example", A) for server in SERVERS}

ODD_QUESTIONS = {
    "empty": b"",
    "half a header": b"\x00\x07\x01",
    "no question": struct.pack("!6H", 7, 0x0100, 0, 0, 0, 0),
    "many questions": struct.pack("!6H", 7, 0x0100, 65535, 0, 0, 0),
    "a pointer to itself": _question(b"\xc0\x0c", A),
    "a pointer to nowhere": _question(b"\xff\xff", A),
    "a label without end": _question(b"\x3fabc", A),
    "a long label": _question(b"\x40" + b"a" * 64 + b"\0", A),
    "a long name": _question(b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 4 + b"\0", A),
    "an update": _question("attacker.example", A, flags=0x2800),
    "a notification": _question("attacker.example", A, flags=0x2000),
    "an answer": _question("attacker.example", A, flags=0x8180),
    "a zone": _question("attacker.example", AXFR),
    "chaos": _question("version.bind", TXT, klass=3),
    "dynamic names": _question("plain.test", TXT),
    "zero in a name": _question(b"\x05pla\0n\x04test\0", A),
    "a dot in a label": _question(b"\x0aplain.test\0", A),
    "much after it": _question("attacker.example", A) + b"x" * 3000,
}


@pytest.fixture(scope="module")
def answers(strict: Attacked) -> dict[str, bytes]:
    questions = {
        name: (transport, server, _question(asked, kind).hex())
        for name, (transport, server, asked, kind) in DENIED_QUESTIONS.items()
    } | {name: ("udp", SERVERS[1], message.hex()) for name, message in ODD_QUESTIONS.items()}
    questions["allowed"] = ("udp", SERVERS[1], _question("PLAIN.test", A).hex())
    (strict.moat.workspace / "questions.json").write_text(json.dumps(questions))
    printed = json.loads(strict.program("questions.py", "questions.json"))
    return {name: bytes.fromhex(message) for name, message in printed.items()}


def test_a_name_that_no_rule_knows_is_answered_here_and_carries_nothing_out(
    strict: Attacked, answers: dict[str, bytes]
) -> None:
    """NXDOMAIN, from whichever server was asked, and a line in the record each."""
    for name in DENIED_QUESTIONS:
        assert answers[name], name
        assert answers[name][3] & 15 == 3, name
        assert answers[name][6:8] == b"\0\0", "it has an answer"
    rows = strict.trace("--kind", "dns", "--denied")
    asked = [row["host"] for row in rows]
    tunnelled = sum("c2VjcmV0" in name for name in DENIED_QUESTIONS)
    assert asked.count(f"{LONG}.a.example".lower()) == tunnelled
    assert asked.count("secret.attacker.example") >= len(DENIED_QUESTIONS) - tunnelled
    assert {row["method"] for row in rows} >= {"A", "AAAA", "TXT", "NULL", "CNAME", "HTTPS", "ANY"}


def test_an_allowed_name_has_an_address_of_ours(answers: dict[str, bytes]) -> None:
    """And nothing else about it is told."""
    assert answers["allowed"][-4:-2] == bytes((198, 18))
    assert answers["dynamic names"][6:8] == b"\0\0"


@pytest.mark.parametrize("name", ODD_QUESTIONS)
def test_an_odd_question_gets_an_error_or_nothing(answers: dict[str, bytes], name: str) -> None:
    """Never an address, and the next question is answered as before."""
    reply = answers[name]
    assert len(reply) < 600
    assert not reply or reply[6:8] == b"\0\0", "it has an answer"


# --- through the proxy, to where no rule leads ---


def _connect(authority: str) -> bytes:
    return f"CONNECT {authority} HTTP/1.1\r\nHost: x\r\n\r\n".encode("utf-8", "surrogateescape")


def _socks(host: str, port: int) -> bytes:
    name = host.encode()
    return b"\x05\x01\0\x03" + bytes((len(name),)) + name + struct.pack("!H", port)


GREETING = b"\x05\x01\0"


def _proxied(target: Attacked) -> dict[str, Conversation]:
    """By CONNECT, SOCKS and absolute-form, to everything that is not for the sandbox."""
    port = target.bystander.port
    said: dict[str, Conversation] = {}
    lan = [f"[{each}]" if ":" in each else each for each in lan_addresses()]
    for host in [*FORMS_OF_LOOPBACK, *NAMES_LIKE_IT, *lan, *INWARD]:
        request = f"GET http://{host}:{port}/evil HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
        for name, bytes_ in (
            (f"CONNECT {host}", _connect(f"{host}:{port}")),
            (f"GET {host}", request.encode()),
        ):
            said[name] = Conversation(host="127.0.0.1", port=PROXY, pieces=[bytes_])
        said[f"SOCKS {host}"] = Conversation(
            host="127.0.0.1",
            port=PROXY,
            opening=[GREETING],
            pieces=[_socks(host.strip("[]"), port)],
            answers=99,
        )
    return said


def _odd(target: Attacked) -> dict[str, Conversation]:
    port = target.plain.port
    get = b"GET /evil HTTP/1.1\r\nHost: %b\r\n\r\n"

    def proxy(**what: Any) -> Conversation:
        settings: dict[str, Any] = {"host": "127.0.0.1", "port": PROXY, "answers": 99}
        return Conversation(**settings | what)

    allowed = _connect(f"origin.test:{target.secure.port}")
    return {
        "SOCKS 4": proxy(pieces=[b"\x04\x01" + struct.pack("!H", port) + b"\x7f\0\0\x01\0"]),
        "SOCKS 5 BIND": proxy(
            opening=[GREETING], pieces=[b"\x05\x02\0\x01\x7f\0\0\x01" + struct.pack("!H", port)]
        ),
        "SOCKS 5 UDP": proxy(
            opening=[GREETING], pieces=[b"\x05\x03\0\x01\x7f\0\0\x01" + struct.pack("!H", port)]
        ),
        "SOCKS 5 of no kind": proxy(opening=[GREETING], pieces=[b"\x05\x01\0\x09\x00\x00\x00"]),
        "half of SOCKS": proxy(opening=[GREETING], pieces=[b"\x05\x01"]),
        "TLS to the proxy": proxy(pieces=[b"\x16\x03\x01\0\x05hello"]),
        "another name behind CONNECT": proxy(
            opening=[allowed], tls=True, sni="evil.test", pieces=[get % b"evil.test"], answers=1
        ),
        "another host behind CONNECT": proxy(
            opening=[allowed], tls=True, sni="origin.test", pieces=[get % b"evil.test"], answers=1
        ),
        "no TLS behind CONNECT": proxy(opening=[allowed], pieces=[get % b"evil.test"], answers=2),
        "CONNECT behind CONNECT": proxy(
            opening=[_connect(f"plain.test:{port}")], pieces=[_connect("evil.test:1")], answers=2
        ),
        "CONNECT to another port": proxy(pieces=[_connect("pinned.test:22")]),
        "SOCKS to another port": proxy(opening=[GREETING], pieces=[_socks("pinned.test", 22)]),
        "pinned, another name": Conversation(
            host="pinned.test", port=443, tls=True, sni="evil.test", pieces=[b"x"], answers=99
        ),
        "pinned, no name": Conversation(
            host="pinned.test", port=443, tls=True, sni=None, pieces=[b"x"], answers=99
        ),
        "pinned, no TLS": Conversation(
            host="pinned.test", port=443, pieces=[b"\x16\x03\x01\x00\x02xx"], answers=99
        ),
    }


@pytest.fixture(scope="module")
def proxied(strict: Attacked) -> dict[str, Any]:
    return {**strict.converse(_proxied(strict) | _odd(strict))}


@pytest.mark.parametrize("host", [*FORMS_OF_LOOPBACK, *NAMES_LIKE_IT, *INWARD])
def test_the_proxy_leads_to_no_host_without_a_rule(proxied: dict[str, Any], host: str) -> None:
    """Nor to an inner address by an allowed name; each way says no in its own words."""
    for way in ("CONNECT", "GET"):
        heard = proxied[f"{way} {host}"]
        assert heard.statuses in ([403], [400]), (way, heard)
        assert heard.statuses == [400] or heard.denial.startswith("rule="), heard
        if host in INWARD:  # a URL given to the proxy doesn't get beyond the port, which is closed
            assert (
                heard.denial == f"rule={'network.private' if way == 'CONNECT' else 'one way out'}"
            )
    heard = proxied[f"SOCKS {host}"]
    assert heard.received[:2] == b"\x05\0"
    assert heard.received[2:4] in {b"\x05\x02", b""}, heard
    assert heard.ended in {"eof", "reset"}, heard


def test_the_machines_own_addresses_are_no_hosts_either(proxied: dict[str, Any]) -> None:
    """As others see it: by any of them its services would be reached."""
    for address in lan_addresses():
        host = f"[{address}]" if ":" in address else address
        assert proxied[f"CONNECT {host}"].statuses == [403]
        assert proxied[f"GET {host}"].statuses == [403]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("another name behind CONNECT", 421),
        ("another host behind CONNECT", 421),
        ("no TLS behind CONNECT", 421),
        ("CONNECT behind CONNECT", 405),
    ],
)
def test_a_tunnel_leads_where_it_said(proxied: dict[str, Any], name: str, status: int) -> None:
    """What is inside must be for the server that was asked for."""
    assert proxied[name].statuses[-1] == status, proxied[name]


def test_an_allowed_host_has_no_other_port(proxied: dict[str, Any]) -> None:
    """Refused at once: a client that waits for the server's first word would wait in vain."""
    heard = proxied["CONNECT to another port"]
    assert (heard.statuses, heard.denial) == ([403], "rule=one way out"), heard
    heard = proxied["SOCKS to another port"]
    assert heard.received[:4] == b"\x05\0\x05\x02", heard


@pytest.mark.parametrize(
    "name",
    [
        *("SOCKS 4", "SOCKS 5 BIND", "SOCKS 5 UDP", "SOCKS 5 of no kind", "half of SOCKS"),
        *("TLS to the proxy", "pinned, another name", "pinned, no name", "pinned, no TLS"),
    ],
)
def test_what_is_not_understood_is_cut_off(proxied: dict[str, Any], name: str) -> None:
    """No service but CONNECT, no handshake but one for the listed name."""
    heard = proxied[name]
    assert heard.ended.startswith(("eof", "reset", "tls: ")), heard
    assert not heard.statuses or heard.statuses == [400], heard


def test_every_refusal_is_in_the_record(strict: Attacked, proxied: dict[str, Any]) -> None:
    """With why; no name was looked up for it, and nothing is left undecided."""
    rows = [row for row in strict.trace() if row["kind"] in {"refusal", "request", "tunnel"}]
    refused = [row for row in rows if row["verdict"] != "allowed"]
    ends = [heard for heard in proxied.values() if heard.ended != "answered" or heard.statuses]
    assert len(refused) >= len(ends)
    for row in rows:
        assert row["verdict"] in {"denied", "failed"}, row
        assert row["error"], row
        assert row["durations"]["dns"] is None, row
        assert not row["in_progress"], row


def test_none_of_it_reached_anybody(strict: Attacked, proxied: dict[str, Any]) -> None:
    """The host's service and the allowed servers have seen nothing."""
    assert strict.bystander.reached() == []
    assert strict.reached(b"evil") == []
    assert "ERROR" not in strict.log()


# --- permissive ---


@pytest.fixture(scope="module")
def permissive() -> Iterator[Attacked]:
    with attacked(
        "  policy: permissive" + COMMON.replace("rules:", "rules: \n    - allow **:BYSTANDER")
    ) as target:
        yield target


def test_no_policy_opens_this_machine_or_its_network(permissive: Attacked) -> None:
    """Captured or by the proxy, any host may be asked for under `permissive`, but none that is here."""
    port = permissive.bystander.port
    hosts = [each for each in FORMS_OF_LOOPBACK if each[0] in "0123456789[" and "%" not in each]
    said = {f"proxy {name}": what for name, what in _proxied(permissive).items()}
    for host in (*lan_addresses(), *INWARD, *WORLD[2:3], "127.0.0.1", "::1", "198.18.255.254"):
        shown = f"[{host}]" if ":" in host else host
        for number in (80, port):
            said[f"direct {host} {number}"] = Conversation(
                host=host,
                port=number,
                pieces=[f"GET /evil HTTP/1.1\r\nHost: {shown}:{number}\r\n\r\n".encode()],
            )
    heard = permissive.converse(said)
    for name, each in heard.items():
        if name.startswith("direct") or name.partition("] ")[2] in hosts:
            assert each.statuses == [403], (name, each)
            assert each.denial == "rule=network.private", (name, each)
    assert permissive.bystander.reached() == []
    assert permissive.reached(b"evil") == []
