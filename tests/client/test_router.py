"""Starting and stopping the router, as a real process."""

from __future__ import annotations

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from moat.client import router
from moat.errors import StoreError
from moat.platform.process import Process
from moat.ports import router_place
from moat.ports.binding import PortUnavailableError
from moat.runs import lock
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_S = 120.0


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes its time to load a router."""
    monkeypatch.setattr(router, "_ANSWER_S", TIMEOUT_S)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A store, whose router is stopped in the end."""
    home = tmp_path / "home"
    with Store(home):
        pass
    yield home
    router.stop(home)


def said_at(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while more := sock.recv(65536):
            answer += more
        return answer


def test_one_router_lives_however_often_it_is_needed(home: Path) -> None:
    """Whoever comes first starts it, and its port is known before it has loaded."""
    with ThreadPoolExecutor() as clients:
        ports = set(clients.map(lambda _: router.ensure(home, 0), range(8)))
    (port,) = ports
    assert router_place.port(home) == port
    assert said_at(port).startswith(b"HTTP/1.1 200 OK")
    found = router.status(home)
    assert found is not None
    assert (found["port"], found["ports"]) == (port, 0)
    assert router.stop(home)
    assert router_place.port(home) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert not router.stop(home)
    assert router.status(home) is None


def test_a_killed_router_is_replaced_at_the_same_port(home: Path) -> None:
    """URLs that a run knows go on to be right."""
    port = router.ensure(home, 0)
    found = router.status(home)
    assert found is not None
    with Process(found["pid"]) as process:
        os.kill(found["pid"], signal.SIGKILL)
        process.wait(TIMEOUT_S)
    assert router_place.port(home) == 0
    assert router.ensure(home, 0) == port
    assert said_at(port).startswith(b"HTTP/1.1 200 OK")


def test_a_port_that_is_taken(home: Path) -> None:
    """Nothing is started, and the error says where to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(PortUnavailableError, match=f"can't have port {number}") as caught:
            router.ensure(home, number)
        assert "router: {port:" in (caught.value.hint or "")
    assert not lock.is_locked(router_place.lock_file(home))


def test_a_store_in_which_nothing_can_be_written(home: Path) -> None:
    """The error is one line that says what failed, and where."""
    (home / router_place.FOLDER).write_text("no folder")
    with pytest.raises(StoreError, match=r"the router can't be started: .*router"):
        router.ensure(home, 0)
    (home / router_place.FOLDER).unlink()


def test_a_router_that_does_not_answer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks is told, and isn't kept."""
    router.ensure(home, 0)
    found = router.status(home)
    assert found is not None
    os.kill(found["pid"], signal.SIGSTOP)
    os.waitid(os.P_PID, found["pid"], os.WSTOPPED)
    monkeypatch.setattr(router, "_ANSWER_S", 0.05)
    try:
        for ask in (router.status, router.stop):
            with pytest.raises(router.RouterStuckError, match="doesn't answer"):
                ask(home)
    finally:
        os.kill(found["pid"], signal.SIGCONT)
        monkeypatch.setattr(router, "_ANSWER_S", TIMEOUT_S)


def test_a_router_ends_with_its_store(home: Path) -> None:
    """So that its port is free for the next one."""
    port = router.ensure(home, 0)
    found = router.status(home)
    assert found is not None
    with Process(found["pid"]) as process:
        router_place.lock_file(home).unlink()
        process.wait(TIMEOUT_S)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
