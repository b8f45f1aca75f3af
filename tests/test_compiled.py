"""What is compiled, and what is not although requests pass through it: compared with real requests."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from tests.egress.gateways import get, opened
from tests.egress.http2_peers import Peer, connected, serving
from tests.origin import Origin

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["moat"]
COMPILED: list[str] = SETTINGS["compiled"]
INTERPRETED: dict[str, str] = SETTINGS["interpreted"]
ANSWER = b'{"model": "m", "usage": {"input_tokens": 1, "output_tokens": 1}}'


class RequestPath:
    """The modules of `moat.egress` in which a function ran while it was watched."""

    def __init__(self) -> None:
        self.modules: set[str] = set()

    def _note(self, frame: FrameType, event: str, _argument: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith("moat.egress.") and frame.f_code.co_name[0] != "<":
            self.modules.add(module)

    @contextmanager
    def in_new_threads(self) -> Iterator[None]:
        threading.setprofile(self._note)
        try:
            yield
        finally:
            threading.setprofile(None)

    @contextmanager
    def in_this_thread(self) -> Iterator[None]:
        before = sys.getprofile()
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(before)


async def _over_http1(run: Path, path: RequestPath, capture: str) -> None:
    """Watch the second request on connections that are there, and the writing of the record."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
    answers = {"/v1/messages": head + ANSWER}
    with path.in_new_threads(), Origin(answers=answers) as origin:
        async with opened(run, capture=capture) as gateway:
            reader, writer = await gateway.tunnel("origin.test", origin.port)
            request = get("/v1/messages?a=b", origin, "Content-Length: 2", method="POST")
            request = request.replace(b"Connection: close\r\n", b"") + b"{}"
            writer.write(request)
            await reader.readuntil(ANSWER)
            with path.in_this_thread():
                writer.write(request)
                await reader.readuntil(ANSWER)
            writer.close()


def _has_asked(peer: Peer, count: int) -> bool:
    return len(peer.requests) == count


async def _over_http2(run: Path, path: RequestPath) -> None:
    async def serve(peer: Peer) -> None:
        for count in (1, 2):
            await peer.until(functools.partial(_has_asked, peer, count))
            peer.answer(peer.requests[-1])
            peer.flush()

    authority = CertificateAuthority.load_or_create(run)
    ca = authority.certificate_pem.decode()
    async with serving(authority, serve) as port, opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, port)

        async def ask() -> None:
            number = client.ask("/", port)
            client.flush()
            await client.until(lambda: number in client.over)

        await ask()
        with path.in_this_thread():
            await ask()
        client.writer.close()


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules that requests of each kind pass through."""
    path = RequestPath()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for capture in ("none", "bodies"):
            runner.run(_over_http1(tmp_path_factory.mktemp("run"), path, capture))
        runner.run(_over_http2(tmp_path_factory.mktemp("run"), path))
    return path.modules


def _is_in(module: str, name: str) -> bool:
    """The module is the one of this name, or lies in the package of this name."""
    return f"{module}.".startswith(f"{name}.")


@pytest.mark.parametrize("module", COMPILED)
def test_a_compiled_module_is_there(module: str) -> None:
    """A module that was moved or renamed is renamed in the list, too; hint: [tool.moat] compiled."""
    assert (SOURCE / module.replace(".", "/")).with_suffix(".py").is_file()


def test_every_module_on_the_path_of_a_request_is_compiled_or_has_a_reason(
    passed: set[str],
) -> None:
    """A new module there makes each request slower; hint: pyproject.toml, [tool.moat]."""
    assert {module for module in passed - set(COMPILED) if not _has_reason(module)} == set()


def _has_reason(module: str) -> bool:
    return any(_is_in(module, name) for name in INTERPRETED)


@pytest.mark.parametrize("name", INTERPRETED)
def test_a_reason_is_about_a_module_that_requests_pass(passed: set[str], name: str) -> None:
    """None outlives its module, nor stands beside one that is compiled."""
    assert INTERPRETED[name]
    assert any(_is_in(module, name) for module in passed)
    assert not any(_is_in(module, name) for module in COMPILED)
