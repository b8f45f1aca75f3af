"""A hostile program's HTTP/1.1: smuggling, misdirection, bombs and stalling, in one run under `strict`.

What it asks for has `evil` in it: no server may ever see a head with that mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.attacks import PROXY, Attacked, Conversation, attacked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NETWORK = """
  policy: strict
  hosts: {plain.test: 127.0.0.1, origin.test: 127.0.0.1, evil.test: 127.0.0.1}
  private: [plain.test, origin.test, evil.test]
  rules:
    - deny plain.test:PLAIN/secret/**
    - deny DELETE plain.test:PLAIN
    - allow plain.test:PLAIN
    - allow origin.test:SECURE
"""
IMPATIENT = "  timeouts: {header: 1s, tls: 1s, idle: 2s, connect: 2s}\n"
"""For a run of its own: on a busy machine whoever means well is as slow."""

HOST = b"Host: plain.test:PORT\r\n"


def _get(fields: bytes, line: bytes = b"GET /evil HTTP/1.1") -> bytes:
    return line + b"\r\n" + fields + b"\r\n"


def _post(fields: bytes, body: bytes, path: bytes = b"/evil") -> bytes:
    return b"POST %b HTTP/1.1\r\n" % path + HOST + fields + b"\r\n" + body


HIDDEN = b"GET /evil HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"

# What is no HTTP, or could be understood in two ways: the answer, and the request.
AMBIGUOUS = {
    "two hosts": (400, _get(HOST + b"Host: evil.test\r\n")),
    "the same host twice": (400, _get(HOST + HOST)),
    "no host": (400, _get(b"Accept: */*\r\n")),
    "empty host": (400, _get(b"Host: \r\n")),
    "host with zero": (400, _get(b"Host: plain.test\x00.evil\r\n")),
    "zero before host": (400, _get(b"Host: evil\x00.plain.test:PORT\r\n")),
    "host with encoded zero": (400, _get(b"Host: plain.test%00:PORT\r\n")),
    "host with user": (400, _get(b"Host: plain.test@evil.test\r\n")),
    "host list": (400, _get(b"Host: plain.test:PORT, evil.test\r\n")),
    "host with a path": (400, _get(b"Host: plain.test:PORT/evil\r\n")),
    "homoglyph": (400, _get("Host: \N{CYRILLIC SMALL LETTER ER}lain.test:PORT\r\n".encode())),
    "space before colon": (400, _get(b"Host : plain.test:PORT\r\n")),
    "obs-fold": (400, _get(HOST + b"X-A: 1\r\n evil\r\n")),
    "folded host": (400, _get(b"Host:\r\n plain.test:PORT\r\n")),
    "leading space": (400, _get(b" " + HOST)),
    "bare LF": (400, _get(HOST).replace(b"\r\n", b"\n")),
    "one bare LF": (400, _get(HOST + b"X-A: 1\nX-B: evil\r\n")),
    "bare CR": (400, _get(HOST + b"X-A: 1\rX-B: evil\r\n")),
    "NUL in a value": (400, _get(HOST + b"X-A: a\x00b\r\n")),
    "control character": (400, _get(HOST + b"X-A: a\x0bb\r\n")),
    "no colon": (400, _get(HOST + b"X-A\r\n")),
    "empty name": (400, _get(HOST + b": evil\r\n")),
    "name with a zero": (400, _get(HOST + b"X\x00A: 1\r\n")),
    "two spaces": (400, _get(HOST, b"GET  /evil HTTP/1.1")),
    "HTTP/0.9": (400, b"GET /evil\r\n\r\n"),
    "HTTP/2.0 in the line": (400, _get(HOST, b"GET /evil HTTP/2.0")),
    "HTTP/1.10": (400, _get(HOST, b"GET /evil HTTP/1.10")),
    "tab in the line": (400, _get(HOST, b"GET\t/evil HTTP/1.1")),
    "zero in the target": (400, _get(HOST, b"GET /evil\x00 HTTP/1.1")),
    "target beyond ASCII": (400, _get(HOST, b"GET /evil\xff HTTP/1.1")),
    "fragment": (400, _get(HOST, b"GET /evil#x HTTP/1.1")),
    "target without a slash": (400, _get(HOST, b"GET evil HTTP/1.1")),
    "foreign scheme": (400, _get(HOST, b"GET ftp://plain.test/evil HTTP/1.1")),
    "user in the target": (400, _get(HOST, b"GET http://plain.test@evil.test/ HTTP/1.1")),
    "method with a zero": (400, _get(HOST, b"GE\x00T /evil HTTP/1.1")),
    "CONNECT": (405, _get(HOST, b"CONNECT evil.test:443 HTTP/1.1")),
    "expectation": (417, _get(HOST + b"Expect: evil\r\n")),
    "CL.TE": (400, _post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", CHUNKS + HIDDEN)),
    "TE.CL": (400, _post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", CHUNKS + HIDDEN)),
    "TE.TE": (400, _post(b"Transfer-Encoding: chunked\r\n" * 2, CHUNKS + HIDDEN)),
    "xchunked": (501, _post(b"Transfer-Encoding: xchunked\r\n", CHUNKS + HIDDEN)),
    "chunked, identity": (501, _post(b"Transfer-Encoding: chunked, identity\r\n", CHUNKS)),
    "identity, chunked": (501, _post(b"Transfer-Encoding: identity, chunked\r\n", CHUNKS)),
    "quoted chunked": (501, _post(b'Transfer-Encoding: "chunked"\r\n', CHUNKS)),
    "chunked with a tab": (400, _post(b"Transfer-Encoding\t: chunked\r\n", CHUNKS)),
    "chunked with VT": (400, _post(b"Transfer-Encoding: \x0bchunked\r\n", CHUNKS)),
    "chunked in HTTP/1.0": (
        501,
        b"POST /evil HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    ),
    "length with a sign": (400, _post(b"Content-Length: +5\r\n", b"hello" + HIDDEN)),
    "negative length": (400, _post(b"Content-Length: -5\r\n", b"hello")),
    "length list": (400, _post(b"Content-Length: 5, 5\r\n", b"hello" + HIDDEN)),
    "two lengths": (400, _post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello" + HIDDEN)),
    "hexadecimal length": (400, _post(b"Content-Length: 0x5\r\n", b"hello" + HIDDEN)),
    "length with a space": (400, _post(b"Content-Length: 5 5\r\n", b"hello" + HIDDEN)),
    "empty length": (400, _post(b"Content-Length: \r\n", b"hello" + HIDDEN)),
    "length beyond 64 bits": (400, _post(b"Content-Length: 18446744073709551621\r\n", b"hello")),
    "long header line": (431, _get(HOST + b"X-A: " + b"a" * 70_000 + b"\r\n")),
    "many headers": (431, _get(HOST + b"X-A: 1\r\n" * 300)),
    "endless line": (431, b"GET /evil" + b"a" * 1_000_000),
}  # fmt: skip

# Their heads are sound, so a server may see those; of the bodies it must never see an end.
BROKEN_BODIES = {
    "bare LF after a size": b"5\nhello\r\n0\r\n\r\n",
    "bare CR after a size": b"5\rhello\r\n0\r\n\r\n",
    "size that overflows": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "size with a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size with a space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "empty size": b"\r\nhello\r\n0\r\n\r\n",
    "chunk longer than it says": b"3\r\nhello\r\n0\r\n\r\n",
    "chunk without its end": b"5\r\nhello0\r\n\r\n",
    "chunk that ends in LF": b"5\r\nhello\n0\r\n\r\n",
    "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "zero in an extension": b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
    "endless extension": b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
    "folded trailer": b"5\r\nhello\r\n0\r\nX-A: 1\r\n b\r\n\r\n",
    "trailer with LF": b"5\r\nhello\r\n0\r\nX-A: 1\nX-B: 2\r\n\r\n",
    "trailers without end": b"5\r\nhello\r\n0\r\n" + b"X-A: 1\r\n" * 20_000,
    "trailing request line": b"5\r\nhello\r\n0\r\nGET /evil HTTP/1.1\r\n\r\n",
}  # fmt: skip

# For another server than the one that the connection is for.
MISDIRECTED = {
    "another host": _get(b"Host: evil.test:PORT\r\n"),
    "another port": _get(b"Host: plain.test:1\r\n"),
    "no port": _get(b"Host: plain.test\r\n"),
    "a name behind": _get(b"Host: plain.test.evil.test:PORT\r\n"),
    "a name before": _get(b"Host: evilplain.test:PORT\r\n"),
    "an address": _get(b"Host: 127.0.0.1:PORT\r\n"),
    "a number": _get(b"Host: 2130706433:PORT\r\n"),
    "absolute-form": _get(HOST, b"GET http://evil.test:PORT/ HTTP/1.1"),
    "absolute-form of https": _get(HOST, b"GET https://plain.test:PORT/evil HTTP/1.1"),
    "absolute-form against host": _get(
        b"Host: evil.test:PORT\r\n", b"GET http://plain.test:PORT/evil HTTP/1.1"
    ),
}

# Rules look at what the server will see: all of this is /secret/..., or might be.
PATHS = [
    b"/secret/evil",
    b"/a/../secret/evil",
    b"/./secret/evil",
    b"//secret/evil",
    b"/secret//evil",
    b"/%73ecret/evil",
    b"/a/%2e%2e/secret/evil",
    b"/a/.%2E/secret/evil",
    b"/secret%2Fevil",
    b"/secret;x=1/evil",
    b"/x;/../secret/evil",
    b"/..%2fsecret/evil",
    b"/secret\\evil",
    b"/a\\..\\secret/evil",
    b"/%2573ecret/evil",
    b"/secret/%00evil",
    b"/secret/evil%zz",
    b"http://plain.test:PORT/secret/evil",
    b"/secret/evil?/a/../../x",
]

FINE = {
    "a request": _get(HOST, b"GET /fine HTTP/1.1"),
    "upper case": _get(b"HOST: Plain.TEST.:PORT\r\n", b"GET /fine HTTP/1.1"),
    "absolute-form": _get(HOST, b"GET http://plain.test:PORT/fine HTTP/1.1"),
    "HTTP/1.0": _get(b"", b"GET /fine HTTP/1.0"),
    "h2c": _get(
        HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        b"GET /fine HTTP/1.1",
    ),
    "h2c among others": _get(
        HOST + b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", b"GET /fine HTTP/1.1"
    ),
    "h2c in a second field": _get(
        HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: H2C\r\n", b"GET /fine HTTP/1.1"
    ),
    "TLS within": _get(
        HOST + b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n", b"GET /fine HTTP/1.1"
    ),
    "a request within a body": _post(b"Content-Length: LENGTH\r\n", HIDDEN, b"/echo"),
}  # fmt: skip


class Siege:
    """All of it at once, in one run."""

    def __init__(self, target: Attacked) -> None:
        self.target = target
        self._plain: dict[str, Conversation] = {}
        self._slow: dict[str, Conversation] = {}
        for name, (_, request) in AMBIGUOUS.items():
            self._say(f"ambiguous: {name}", request)
        for name, chunks in BROKEN_BODIES.items():
            head = b"Transfer-Encoding: chunked\r\n"
            self._say(f"body: {name}", _post(head, chunks, b"/size"))
        for name, request in MISDIRECTED.items():
            self._say(f"misdirected: {name}", request)
        for path in PATHS:
            self._say(f"path: {path!r}", _get(HOST, b"GET %b HTTP/1.1" % path))
        for name, request in FINE.items():
            self._say(f"fine: {name}", request)
        self._say_more()
        slow = target.converse(self._slow, run="impatient")
        self.heard = target.converse(self._plain) | slow
        self.trace = target.trace()
        self.trace_of_slow = target.trace(run="impatient")

    def _say(self, name: str, *pieces: bytes) -> None:
        port = self.target.plain.port
        said = [_filled(piece, port) for piece in pieces]
        self._plain[name] = Conversation(host="plain.test", port=port, pieces=said)

    def _say_slowly(self, name: str, *pieces: bytes, pause: float = 0.0) -> None:
        port = self.target.plain.port
        said = [_filled(piece, port) for piece in pieces]
        self._slow[f"slow: {name}"] = Conversation(
            host="plain.test", port=port, pieces=said, pause=pause, answers=99
        )

    def _say_more(self) -> None:
        port, secure = self.target.plain.port, self.target.secure.port
        self._say("method", _get(HOST, b"DELETE /evil HTTP/1.1"))
        self._say("lower case", _get(HOST, b"delete /evil HTTP/1.1"))
        for field in (b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override"):
            name = f"override: {field.decode()}"
            self._say(name, _post(field + b": DELETE\r\n", b"", b"/evil"))
        self._say_slowly("nothing", b"")
        self._say_slowly("one letter", b"G")
        self._say_slowly("half a head", b"GET /evil HTTP/1.1\r\nHost: pl")
        drops = [b"GET /evil HTTP/1.1\r\nHost: plain", *[b"a"] * 60]
        self._say_slowly("a head in drops", *drops, pause=0.1)
        self._say_slowly("a body", _post(b"Content-Length: 5\r\n", b"h", b"/size"))
        chunk = _post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhe", b"/size")
        self._say_slowly("a chunk", chunk)
        misdirected = b"GET /evil HTTP/1.1\r\nHost: %b:%d\r\n\r\n"
        for name, sni, host in (
            ("TLS: another host inside", "origin.test", b"evil.test"),
            ("TLS: another name in the handshake", "evil.test", b"origin.test"),
            ("TLS: both are of another", "evil.test", b"evil.test"),
            ("TLS: a denied name that has data in it", "c2VjcmV0.evil.test", b"evil.test"),
        ):
            self._plain[name] = Conversation(
                host="origin.test",
                port=secure,
                tls=True,
                sni=sni,
                pieces=[misdirected % (host, secure)],
            )
        for name, data in (
            ("TLS: half a handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01"),
            ("TLS: no ClientHello", b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"),
            ("TLS: endless ClientHello", b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(200_000)),
        ):
            self._slow[name] = Conversation(
                host="origin.test", port=secure, pieces=[data], answers=99
            )
        self._proxy(
            "absolute: denied", b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"
        )
        self._proxy(
            "absolute: two servers",
            b"GET http://plain.test:%d/evil HTTP/1.1\r\nHost: evil.test\r\n\r\n" % port,
        )
        self._proxy("absolute: none", b"GET /evil HTTP/1.1\r\nHost: plain.test\r\n\r\n")
        connect = b"CONNECT plain.test:%d HTTP/1.1\r\n\r\n" % port
        self._proxy("CONNECT: without Host", connect)
        self._proxy(
            "CONNECT: with a body",
            b"CONNECT plain.test:%d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" % port,
        )
        self._proxy("CONNECT: folded", b"CONNECT evil.test:443 HTTP/1.1\r\nHost: x\r\n y\r\n\r\n")

    def _proxy(self, name: str, request: bytes) -> None:
        self._plain[name] = Conversation(host="127.0.0.1", port=PROXY, pieces=[request])


def _filled(piece: bytes, port: int) -> bytes:
    piece = piece.replace(b"PORT", b"%d" % port)
    head, _, body = piece.partition(b"\r\n\r\n")
    return head.replace(b"LENGTH", b"%d" % len(body)) + piece[len(head) :]


@pytest.fixture(scope="module")
def siege() -> Iterator[Siege]:
    with attacked(NETWORK) as target:
        settings = target.moat.home / "config.yaml"
        settings.write_text(settings.read_text() + IMPATIENT)
        target.moat.ok("run", "-d", "-n", "impatient", "--", "sleep", "infinity")
        yield Siege(target)


def _refusals(siege: Siege, *words: str) -> Sequence[str]:
    """Of the record: why what could not be understood was refused."""
    return [
        row["error"]
        for row in siege.trace
        if row["kind"] == "refusal" and all(word in row["error"] for word in words)
    ]


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_could_be_understood_in_two_ways_is_refused(siege: Siege, name: str) -> None:
    """One answer, which says what is wrong, and the end of the connection."""
    heard = siege.heard[f"ambiguous: {name}"]
    assert heard.statuses == [AMBIGUOUS[name][0]], heard
    assert b"\r\nConnection: close\r\n" in heard.received
    assert b"moat: malformed request: " in heard.received


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_a_body_that_can_not_be_followed_ends_the_connection(siege: Siege, name: str) -> None:
    """The client is told; the server, which may have seen the head, never sees an end of it."""
    heard = siege.heard[f"body: {name}"]
    assert heard.statuses == [400] or heard.statuses == [431], heard
    assert b"moat: malformed request: " in heard.received


@pytest.mark.parametrize("name", MISDIRECTED)
def test_a_request_for_another_server_is_misdirected(siege: Siege, name: str) -> None:
    """421 (RFC 9110 15.5.20), and for programs the rule."""
    heard = siege.heard[f"misdirected: {name}"]
    assert heard.statuses == [421], heard
    assert heard.denial == "rule=one destination"


@pytest.mark.parametrize("name", FINE)
def test_what_is_sound_passes(siege: Siege, name: str) -> None:
    """Or the rest of this would say nothing."""
    assert siege.heard[f"fine: {name}"].statuses == [200]


@pytest.mark.parametrize("path", PATHS)
def test_rules_look_at_the_path_that_the_server_will_see(siege: Siege, path: bytes) -> None:
    """However it is spelled: denied, by the rule or because servers would differ."""
    heard = siege.heard[f"path: {path!r}"]
    assert heard.statuses == [403], heard
    assert heard.denial in {
        "rule=ambiguous path",
        f"rule=deny plain.test:{siege.target.plain.port}/secret/**",
    }


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_in_a_header_is_a_method(siege: Siege, name: str) -> None:
    """Servers that heed it would do what a rule denies."""
    assert siege.heard["method"].statuses == [403]
    assert siege.heard["lower case"].statuses == [403]
    assert siege.heard[f"override: {name}"].statuses == [403]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("nothing", []),
        ("one letter", [408]),
        ("half a head", [408]),
        ("a head in drops", [408]),
        ("a body", [504]),
        ("a chunk", [504]),
    ],
)
def test_what_is_slow_is_ended(siege: Siege, name: str, status: list[int]) -> None:
    """Before the client gives up, and with a word where a request had begun."""
    heard = siege.heard[f"slow: {name}"]
    assert heard.ended in {"eof", "reset"}, heard
    assert heard.statuses == status


@pytest.mark.parametrize(
    "name",
    [
        "another host inside",
        "another name in the handshake",
        "both are of another",
        "a denied name that has data in it",
    ],
)
def test_the_handshake_the_host_and_the_connection_name_one_server(siege: Siege, name: str) -> None:
    """Fronting is answered inside the TLS that it has opened."""
    heard = siege.heard[f"TLS: {name}"]
    assert heard.statuses == [421], heard
    assert heard.denial == "rule=one destination"


@pytest.mark.parametrize("name", ["half a handshake", "no ClientHello", "endless ClientHello"])
def test_a_handshake_that_is_none_is_cut_off(siege: Siege, name: str) -> None:
    """There is nobody to answer."""
    heard = siege.heard[f"TLS: {name}"]
    assert heard.ended in {"eof", "reset"}, heard
    assert not heard.statuses


def test_the_port_of_the_proxy_is_as_strict(siege: Siege) -> None:
    """Absolute-form and CONNECT, denied or malformed, say so."""
    heard = siege.heard
    assert heard["absolute: denied"].statuses == [403]
    assert heard["absolute: denied"].denial == "rule=policy: strict"
    for name in (
        "absolute: two servers",
        "absolute: none",
        "CONNECT: without Host",
        "CONNECT: with a body",
        "CONNECT: folded",
    ):
        assert heard[name].statuses == [400], name


def test_nothing_of_it_has_reached_a_server(siege: Siege) -> None:
    """Not a head with the mark, and no body to an end."""
    heads = [head for head in siege.target.reached(b"evil") if not head.startswith(b"POST /echo")]
    assert heads == []
    assert siege.target.bystander.reached() == []


def test_nobody_is_offered_another_http(siege: Siege) -> None:
    """Nor TLS: what a server would speak after it, no rule would see (h2c smuggling, RFC 2817)."""
    offers = (b"h2c", b"tls/")
    heads = siege.target.plain.heads
    assert not [head for head in heads if any(offer in head.lower() for offer in offers)]


def test_each_attempt_is_in_the_record(siege: Siege) -> None:
    """With what was wrong with it, or with the rule."""
    malformed = _refusals(siege, "malformed request")
    assert len(malformed) >= len(AMBIGUOUS)
    rules = [row["rule"] for row in siege.trace if row["kind"] == "request"]
    assert rules.count("one destination") == len(MISDIRECTED) + 4
    asked = {path.removeprefix(b"http://plain.test:PORT").decode() for path in PATHS}
    assert asked <= {row["path"] for row in siege.trace if row["status"] == 403}
    for row in (*siege.trace, *siege.trace_of_slow):
        assert not row["in_progress"], row


def test_the_supervisor_has_borne_it(siege: Siege) -> None:
    """It goes on as before, and has not grown."""
    assert siege.target.most_memory() < 100
    assert "ERROR" not in siege.target.log()
    port = siege.target.plain.port
    again = siege.target.converse(
        {
            "again": Conversation(
                host="plain.test", port=port, pieces=[_filled(_get(HOST, b"GET /x HTTP/1.1"), port)]
            )
        }
    )
    assert again["again"].statuses == [200]
