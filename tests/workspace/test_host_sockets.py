"""Sockets of the host's services that lie in what a sandbox is shown."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from moat.errors import UsageError
from moat.spec import Mount
from moat.workspace import host_sockets
from moat.workspace.host_sockets import live_sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.sandbox import Sandbox

CONNECT = """
import socket, sys
for path in sys.argv[1:]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        print(client.connect_ex(path))
"""
DENIED, CONNECTED = str(errno.EACCES), "0"


@pytest.fixture
def listen() -> Iterator[Callable[[Path], Path]]:
    with ExitStack() as services:

        def start(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> Path:
            path.parent.mkdir(parents=True, exist_ok=True)
            service = services.enter_context(socket.socket(socket.AF_UNIX, kind))
            folder = os.open(path.parent, os.O_PATH)
            service.bind(f"/proc/self/fd/{folder}/{path.name}")  # a test's path may be too long
            os.close(folder)
            if kind is not socket.SOCK_DGRAM:
                service.listen()
            return path

        yield start


@pytest.mark.parametrize("writable_git", [False, True])
def test_a_service_in_the_workspace_is_out_of_reach(
    sandbox: Sandbox, listen: Callable[[Path], Path], writable_git: bool
) -> None:
    """A database that keeps its socket in the project is no way out, at whatever depth."""
    listen(sandbox.workspace / ".s.PGSQL.5432")
    listen(sandbox.workspace / "var" / "deep" / "docker.sock")
    paths = ("/workspace/.s.PGSQL.5432", "/workspace/var/deep/docker.sock")
    done = sandbox.run("python3", "-c", CONNECT, *paths, writable_git=writable_git)
    assert done.stdout.split() == [DENIED, DENIED]
    assert "busy" in sandbox.rename(".s.PGSQL.5432", writable_git=writable_git)


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_service_in_a_mount_is_out_of_reach(
    sandbox: Sandbox, listen: Callable[[Path], Path], mode: str
) -> None:
    """A read-only mount would not keep anybody from connecting."""
    listen(sandbox.home / "data" / "x" / "agent.sock")
    mount = Mount(str(sandbox.home / "data"), "/data", mode)
    done = sandbox.run("python3", "-c", CONNECT, "/data/x/agent.sock", mounts=(mount,))
    assert done.stdout.split() == [DENIED]


@pytest.mark.parametrize("target", ["/workspace/db.sock", "/run/db.sock"])
def test_a_socket_that_is_mounted_is_meant(
    sandbox: Sandbox, listen: Callable[[Path], Path], target: str
) -> None:
    """Who mounts the socket itself wants it to be reached, under whichever name."""
    service = listen(sandbox.workspace / "db.sock")
    mount = Mount(str(service), target, "rw")
    done = sandbox.run("python3", "-c", CONNECT, target, mounts=(mount,))
    assert done.stdout.split() == [CONNECTED]


def test_a_program_has_sockets_of_its_own(sandbox: Sandbox) -> None:
    """It may make one anywhere, also in the place of one that an earlier run has left."""
    script = """
import os, socket
for path in ("/tmp/a", "/workspace/a", os.path.expanduser("~/a")):
    if os.path.exists(path):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as service, socket.socket(socket.AF_UNIX) as client:
        service.bind(path)
        service.listen()
        print(client.connect_ex(path))
"""
    for _ in range(2):
        done = sandbox.run("python3", "-c", script)
        assert (done.stdout.split(), done.stderr) == ([CONNECTED] * 3, "")


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET"])
def test_every_kind_of_service_is_noticed(
    tmp_path: Path, listen: Callable[..., Path], kind: str
) -> None:
    """What a socket carries makes no difference."""
    path = listen(tmp_path / kind, socket.SocketKind[kind])
    assert [tmp_path / found for found in live_sockets(tmp_path)] == [path]


def test_a_socket_that_nobody_listens_at(tmp_path: Path) -> None:
    """It is a file like any other, and so is a pipe with a name."""
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(tmp_path / "left"))
    subprocess.run(["mkfifo", tmp_path / "pipe"], check=True)
    assert live_sockets(tmp_path) == ()


def test_more_than_can_be_hidden(
    tmp_path: Path, listen: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing is started, rather than with some of them in reach."""
    monkeypatch.setattr(host_sockets, "MAX_LIVE", 1)
    listen(tmp_path / "one")
    assert len(live_sockets(tmp_path)) == 1
    listen(tmp_path / "two")
    with pytest.raises(UsageError, match="too many unix sockets"):
        live_sockets(tmp_path)
