"""A hostile program opens, sends and never reads, as much as it can; others must not notice.

Whatever it does, the run's supervisor answers, keeps to its memory, and serves on when it is over;
another run works at the same time.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from tests.e2e.attacks import HOSTILE, HTTP2_PREFACE, Attacked, Conversation, Heard, attacked
from tests.e2e.conftest import TIMEOUT_S
from tests.followers import changes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

NETWORK = """
  policy: strict
  hosts: {plain.test: 127.0.0.1, origin.test: 127.0.0.1}
  private: [plain.test, origin.test]
  rules:
    - deny plain.test:PLAIN/secret
    - deny origin.test:SECURE/secret
    - allow plain.test:PLAIN
    - allow origin.test:SECURE
  timeouts: {idle: 3s}
"""
MOST_MEMORY_MB = 160.0
"""Forty-five at rest, forty that may wait to be recorded (`Bounds.queued`, twice), thirty-two in all
buffers of connections (`streams`), and what the allocator keeps of it."""


@pytest.fixture(scope="module")
def target() -> Iterator[Attacked]:
    with attacked(NETWORK) as attack:
        attack.moat.ok("run", "-d", "-n", "other", "--", "sleep", "infinity")
        yield attack


@contextmanager
def flooded(target: Attacked, *words: object) -> Generator[None]:
    """While the program holds on to what it could get."""
    folder = target.moat.workspace
    shutil.copy(HOSTILE / "flood.py", folder)
    done = folder / "flooded"
    done.unlink(missing_ok=True)
    command = ("exec", "-i", "x", "--", "python3", "flood.py", *map(str, words))
    program = target.moat.start(*command, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + TIMEOUT_S
        for _ in changes(folder):
            if done.exists() and done.read_text():
                break
            assert program.poll() is None, program.communicate()
            assert time.monotonic() < deadline
        yield
    finally:
        assert program.stdin is not None
        program.stdin.close()
        program.wait(TIMEOUT_S)
        for stream in (program.stdout, program.stderr):
            assert stream is not None
            stream.close()


def _works(target: Attacked, run: str = "x") -> None:
    port = target.plain.port
    request = b"GET /works HTTP/1.1\r\nHost: plain.test:%d\r\n\r\n" % port
    heard = target.converse(
        {"it": Conversation(host="plain.test", port=port, pieces=[request])}, run=run
    )
    assert heard["it"].statuses == [200]


@pytest.mark.parametrize(
    ("kind", "host", "port", "count"),
    [
        ("denied", "plain.test", "PLAIN", 5),
        ("allowed", "plain.test", "PLAIN", 5),
        ("unread", "plain.test", "PLAIN", 20),
        ("unwanted", "plain.test", "PLAIN", 20),
        ("asking", "8.8.8.8", "53", 3),
        ("questions", "8.8.8.8", "53", 5000),
    ],
)
def test_the_run_itself_goes_on_during_a_flood(
    target: Attacked, kind: str, host: str, port: str, count: int
) -> None:
    """Who does not read or ask on takes nobody's time, and keeps no memory."""
    number = target.plain.port if port == "PLAIN" else int(port)
    with flooded(target, kind, host, number, count):
        target.moat.ok("inspect", "x")
        _works(target)
    _works(target)
    assert target.most_memory() < MOST_MEMORY_MB


def test_thousands_of_idle_connections_are_one_runs_own_affair(target: Attacked) -> None:
    """The run can be looked at, another one has all of its network, and afterwards so has this."""
    with flooded(target, "idle", "plain.test", target.plain.port, 4000):
        target.moat.ok("inspect", "x")
        _works(target, run="other")
    _works(target)
    assert target.most_memory() < MOST_MEMORY_MB


# --- HTTP/2 ---


def _settings(**settings: int) -> SettingsFrame:
    return SettingsFrame(settings={getattr(SettingsFrame, name): n for name, n in settings.items()})


def _headers(
    number: int, fields: list[tuple[str, str]] | bytes, *, ends: bool = True, whole: bool = True
) -> HeadersFrame:
    data = fields if isinstance(fields, bytes) else Encoder().encode(fields)
    frame = HeadersFrame(number, data)
    frame.flags |= {"END_HEADERS"} if whole else set()
    frame.flags |= {"END_STREAM"} if ends else set()
    return frame


def _request(target: Attacked, path: str = "/secret", **other: str) -> list[tuple[str, str]]:
    fields = {
        ":method": "GET",
        ":scheme": "https",
        ":authority": f"origin.test:{target.secure.port}",
        ":path": path,
    }
    fields |= {f":{name}": value for name, value in other.items()}
    return list(fields.items())


def _say(target: Attacked, *frames: Frame | bytes, settings: Frame | None = None) -> Conversation:
    data = [each if isinstance(each, bytes) else each.serialize() for each in frames]
    opening = HTTP2_PREFACE + (settings or _settings()).serialize()
    return Conversation(
        host="origin.test",
        port=target.secure.port,
        tls=True,
        sni="origin.test",
        alpn="h2",
        pieces=[opening + b"".join(data)],
        answers=99,
    )


def _frames(heard: Heard) -> Iterator[Frame]:
    data = memoryview(heard.received)
    while len(data) >= 9:
        frame, length = Frame.parse_frame_header(data[:9])
        if len(data) < 9 + length:
            return
        frame.parse_body(data[9 : 9 + length])
        yield frame
        data = data[9 + length :]


def _statuses(heard: Heard) -> list[str]:
    decoder = Decoder()
    found = [decoder.decode(each.data) for each in _frames(heard) if isinstance(each, HeadersFrame)]
    return [str(value) for fields in found for name, value in fields if str(name) == ":status"]


def _farewell(heard: Heard) -> int | None:
    codes = [each.error_code for each in _frames(heard) if isinstance(each, GoAwayFrame)]
    return codes[-1] if codes else None


def _numbers(count: int) -> Iterable[int]:
    return range(1, 2 * count, 2)


BOMB = Encoder().encode([("x-bomb", "b" * 4000)]) + b"\xbe" * 12_000
"""A field of 4000 bytes, put into the table once and then named 12,000 times: 48 MB."""

PROTOCOL, FLOW, FRAME_SIZE, CALM = 1, 3, 6, 11


def _abuses(target: Attacked) -> dict[str, Conversation]:
    secret = _request(target)
    reset = [
        frame
        for number in _numbers(2000)
        for frame in (_headers(number, secret), RstStreamFrame(number))
    ]
    return {
        "rapid reset": _say(target, *reset),
        "CONTINUATION flood": _say(
            target,
            _headers(1, secret, whole=False),
            *[ContinuationFrame(1, b"\x00\x01a\x01b") for _ in range(5000)],
        ),
        "a frame of 16 MB": _say(target, b"\xff\xff\xf0\xee\0\0\0\0\0" + bytes(1 << 20)),
        "a head without end": _say(
            target,
            _headers(1, bytes(16384), whole=False),
            *[ContinuationFrame(1, bytes(16384)) for _ in range(60)],
        ),
        "HPACK bomb": _say(target, _headers(1, Encoder().encode(secret) + BOMB)),
        "10,000 streams": _say(
            target,
            *[
                _headers(number, _request(target, "/wait"), ends=False)
                for number in _numbers(10_000)
            ],
        ),
        "window beyond its bound": _say(
            target,
            _headers(1, secret, ends=False),
            WindowUpdateFrame(0, window_increment=2**31 - 1),
        ),
        "data for nobody": _say(target, DataFrame(99, b"evil")),
        "data on stream zero": _say(target, b"\0\0\x04\0\0\0\0\0\0evil"),
        "pings without end": _say(
            target, *[PingFrame(0, b"12345678") for _ in range(100_000)], GoAwayFrame(0)
        ),
        "settings without end": _say(
            target, *[_settings() for _ in range(100_000)], GoAwayFrame(0)
        ),
        "upper case": _say(target, _headers(1, b"\x82\x87\x84" + b"\x00\x01A\x01b")),
        "line end in a value": _say(
            target, _headers(1, [*_request(target, "/evil"), ("x-a", "a\r\nx-b: evil")])
        ),
        "zero in a value": _say(target, _headers(1, [*_request(target, "/evil"), ("x-a", "a\0b")])),
        "control in a trailer": _say(
            target,
            _headers(1, _request(target, "/size"), ends=False),
            _headers(1, [("x-a", "a\x01b")]),
        ),
        "two hosts": _say(target, _headers(1, [*_request(target, "/evil"), ("host", "evil.test")])),
        "two paths": _say(target, _headers(1, [*_request(target, "/evil"), (":path", "/evil")])),
        "connection field": _say(
            target, _headers(1, [*_request(target, "/evil"), ("transfer-encoding", "chunked")])
        ),
    }


def _requests(target: Attacked) -> dict[str, Conversation]:
    """Sound HTTP/2, each with an answer, or a request whose fault is its stream's alone."""
    port = target.secure.port

    def ask(fields: list[tuple[str, str]], *body: DataFrame) -> Conversation:
        frames = [_headers(1, fields, ends=not body), *body]
        # The last frame of an answer: DATA, empty, with END_STREAM.
        return replace(_say(target, *frames), until=b"\0\0\0\0\x01\0\0\0\x01")

    short = [*_request(target, "/evil", method="POST"), ("content-length", "9")]
    return {
        "200": ask(_request(target, "/fine")),
        "403": ask(_request(target)),
        "421": ask(_request(target, "/evil", authority=f"evil.test:{port}")),
        "421 by port": ask(_request(target, "/evil", authority="origin.test")),
        "400 absolute": ask(_request(target, f"https://evil.test:{port}/evil")),
        "400 shorter than it says": ask(short, DataFrame(1, b"x", flags=["END_STREAM"])),
    }


@pytest.fixture(scope="module")
def spoken(target: Attacked) -> dict[str, Heard]:
    # What floods its own proxy may starve its own requests: these come when the floods are over.
    return {**target.converse(_abuses(target)), **target.converse(_requests(target))}


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("rapid reset", {PROTOCOL, CALM}),
        ("CONTINUATION flood", {PROTOCOL, CALM}),
        ("a frame of 16 MB", {FRAME_SIZE}),
        ("a head without end", {CALM}),
        ("HPACK bomb", {CALM}),
        ("10,000 streams", {PROTOCOL, CALM}),
        ("window beyond its bound", {FLOW}),
        ("data for nobody", {PROTOCOL}),
        ("data on stream zero", {PROTOCOL}),
        ("upper case", {PROTOCOL}),
        ("line end in a value", {PROTOCOL}),
        ("zero in a value", {PROTOCOL}),
        ("control in a trailer", {PROTOCOL}),
        ("two hosts", {PROTOCOL}),
        ("two paths", {PROTOCOL}),
        ("connection field", {PROTOCOL}),
    ],
)
def test_abuse_of_http2_ends_the_connection(
    spoken: dict[str, Heard], name: str, codes: set[int]
) -> None:
    """With the error that RFC 9113 has for it, where it still can be heard."""
    heard = spoken[name]
    assert heard.ended in {"eof", "reset"} or heard.ended.startswith("tls: "), heard.ended
    # Whoever is still sending when the connection is closed may lose what came last.
    assert _farewell(heard) in codes | {None}


@pytest.mark.parametrize(
    "name", ["200", "403", "421", "421 by port", "400 absolute", "400 shorter than it says"]
)
def test_requests_by_http2_are_judged_as_others_are(spoken: dict[str, Heard], name: str) -> None:
    """One stream, one answer."""
    assert _statuses(spoken[name]) == [name[:3]], spoken[name]


def test_abuse_of_http2_is_in_the_record(target: Attacked, spoken: dict[str, Heard]) -> None:
    """As what could not be understood."""
    rows = target.trace("--kind", "refusal")
    assert len([row for row in rows if "malformed request" in row["error"]]) >= 12
    assert target.reached(b"evil") == []
    assert "ERROR" not in target.log()
    assert target.most_memory() < MOST_MEMORY_MB


def test_windows_of_zero_hold_nothing_for_long(target: Attacked) -> None:
    """Answers that nobody takes end with the idle time."""
    asked = [_headers(number, _request(target, "/bytes/20000000")) for number in _numbers(30)]
    closed = _settings(INITIAL_WINDOW_SIZE=0)
    reset = RstStreamFrame(1).serialize()[:5]  # without its stream and its reason
    said = {
        str(each): replace(_say(target, *asked, settings=closed), until=reset, times=len(asked))
        for each in range(2)
    }
    heard = target.converse(said)
    resets = [frame for frame in _frames(heard["0"]) if isinstance(frame, RstStreamFrame)]
    assert len(resets) == 30
    assert target.most_memory() < MOST_MEMORY_MB
    _works(target)
