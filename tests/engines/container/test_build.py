"""What callers learn of a build, from an engine that answers as the test says.

The engine is a fake: real ones build in the end-to-end tests, and don't hang when asked to.
"""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from moat.engines.container.api import CallRefusedError, EngineAPI, EngineSilentError
from moat.engines.container.build import BuildFailedError, BuildOrder, build
from moat.engines.container.build_output import LineWritten, StepBegun
from moat.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moat.engines.container.build_output import Event

ORDER = BuildOrder(
    reference="localhost/moat/run:1", archive=b"the archive", labels={"moat.recipe": "1"}
)


def said(text: str) -> bytes:
    return json.dumps({"stream": text}).encode() + b"\n"


class Engine:
    """An engine that gives one answer to one build."""

    def __init__(self, path: str) -> None:
        self.api = EngineAPI(path, "docker")
        self.status = 200
        self.answer: list[bytes] = []
        self.hangs = False
        self.request: tuple[str, bytes] = ("", b"")
        self.gone = threading.Event()
        """The client has closed the connection."""

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.request[0]).query)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(str(tmp_path / "s"))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            engine.request = (self.path, body)
            self.wfile.write(b"HTTP/1.1 %d x\r\nTransfer-Encoding: chunked\r\n\r\n" % engine.status)
            for piece in engine.answer:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if engine.hangs:
                self.rfile.read(1)
                engine.gone.set()
            else:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: Any) -> None:
            """Nothing is logged."""

    server = socketserver.ThreadingUnixStreamServer(engine.api.path, Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield engine
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_build_that_works(engine: Engine) -> None:
    """Its output comes as it is written, and the order says what is wanted of the engine."""
    engine.answer = [said("STEP 1/1: RUN x\n"), said("done\n")]
    seen: list[Event] = []
    build(engine.api, ORDER, seen.append)
    assert seen == [StepBegun(1), LineWritten("done")]
    assert engine.request[1] == b"the archive"
    assert engine.query["t"] == ["localhost/moat/run:1"]
    assert json.loads(engine.query["labels"][0]) == {"moat.recipe": "1"}
    assert engine.query["forcerm"] == ["true"]
    assert json.loads(engine.query["buildargs"][0]) == {}
    assert {"networkmode", "nocache"}.isdisjoint(engine.query)


def test_what_the_user_s_settings_say(engine: Engine) -> None:
    """Of the network of the steps, their proxy, and earlier layers."""
    order = BuildOrder(
        reference="x", archive=b"", labels={}, network="host", proxy="http://p:1", anew=True
    )
    build(engine.api, order, lambda _: None)
    assert (engine.query["networkmode"], engine.query["nocache"]) == (["host"], ["true"])
    proxies = json.loads(engine.query["buildargs"][0])
    assert set(proxies.values()) == {"http://p:1"}
    assert {"http_proxy", "HTTPS_PROXY"} <= proxies.keys()


def test_a_step_that_fails_with_moat_s_own_word(engine: Engine) -> None:
    """The reason is the script's, and the lines before it are kept."""
    engine.answer = [
        said("STEP 1/2: RUN x\n"),
        said("earlier\n"),
        said("STEP 2/2: RUN y\nE: no\nmoat: node@9 can't be had here: there is 22\n"),
        b'{"error": "exit status 1"}\n',
    ]
    with pytest.raises(BuildFailedError) as caught:
        build(engine.api, ORDER, lambda _: None)
    assert caught.value.summary == "the image can't be made: node@9 can't be had here: there is 22"
    assert caught.value.last_lines == ("E: no",)


def test_a_step_that_fails_without(engine: Engine) -> None:
    """The reason is the engine's."""
    engine.answer = [said("STEP 1/1: RUN x\nlast\n"), b'{"error": "exit status 1"}\n']
    with pytest.raises(BuildFailedError, match="the image can't be made: exit status 1") as caught:
        build(engine.api, ORDER, lambda _: None)
    assert caught.value.last_lines == ("last",)


def test_an_engine_that_refuses(engine: Engine) -> None:
    """Its reason is told."""
    engine.status, engine.answer = 400, [b'{"message": "bad archive"}']
    with pytest.raises(CallRefusedError, match="docker: bad archive"):
        build(engine.api, ORDER, lambda _: None)


@pytest.mark.parametrize("answer", [b"<html>\n", b"[]\n"])
def test_an_answer_that_is_no_build_s(engine: Engine, answer: bytes) -> None:
    """Nobody can tell what it means."""
    engine.answer = [answer]
    with pytest.raises(EngineError, match="the build can't be followed"):
        build(engine.api, ORDER, lambda _: None)


def test_a_build_that_says_nothing_any_more(engine: Engine) -> None:
    """It isn't waited for forever."""
    engine.answer, engine.hangs = [said("x\n")], True
    with pytest.raises(EngineSilentError, match=r"not answered for 0\.2 s"):
        build(engine.api, ORDER, lambda _: None, patience=0.2)
    assert engine.gone.wait(30)


def test_an_interrupt_closes_the_connection(engine: Engine) -> None:
    """By which the engine learns to stop."""
    engine.answer, engine.hangs = [said("x\n")], True

    def interrupt(_: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(engine.api, ORDER, interrupt)
    assert engine.gone.wait(30)
