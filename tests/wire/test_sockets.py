"""Unix sockets in a run's folder."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from moat.wire import sockets

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("depth", [0, 12])
def test_the_length_of_the_path_does_not_matter(tmp_path: Path, depth: int) -> None:
    """Beyond sun_path's 107 bytes, too, a socket is made and found."""
    folder = tmp_path.joinpath(*["a-folder-name"] * depth)
    folder.mkdir(parents=True, exist_ok=True)
    with sockets.listen(folder, "x.sock") as listener, sockets.connect(folder, "x.sock") as client:
        server, _ = listener.accept()
        with server:
            client.sendall(b"hi")
            assert server.recv(2) == b"hi"


def test_only_the_owner_may_connect(tmp_path: Path) -> None:
    """The socket is 0600 from its first moment."""
    with sockets.listen(tmp_path, "x.sock"):
        assert stat.S_IMODE((tmp_path / "x.sock").stat().st_mode) == 0o600


def test_a_dead_listener_is_told_from_a_missing_one(tmp_path: Path) -> None:
    """Both mean that nobody lives there; neither is a hang."""
    with pytest.raises(FileNotFoundError):
        sockets.connect(tmp_path, "x.sock")
    sockets.listen(tmp_path, "x.sock").close()
    with pytest.raises(ConnectionRefusedError):
        sockets.connect(tmp_path, "x.sock")


def test_a_new_listener_takes_a_dead_ones_name(tmp_path: Path) -> None:
    """A supervisor that was killed leaves its socket; the next one replaces it."""
    sockets.listen(tmp_path, "x.sock").close()
    with sockets.listen(tmp_path, "x.sock"):
        sockets.connect(tmp_path, "x.sock").close()


def test_the_peer_is_known(tmp_path: Path) -> None:
    """Pid and uid come from the kernel."""
    with sockets.listen(tmp_path, "x.sock") as listener, sockets.connect(tmp_path, "x.sock"):
        server, _ = listener.accept()
        with server:
            assert sockets.peer(server) == (os.getpid(), os.geteuid())


def test_received_descriptors_are_not_inherited() -> None:
    """Or the next command would get the host's folders that were passed for its sandbox."""
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    with ours, theirs:
        socket.send_fds(ours, [b"x"], [read, write])
        data, received = sockets.receive(theirs, 16, 4)
        assert data == b"x"
        assert len(received) == 2
        assert not any(os.get_inheritable(fd) for fd in received)
        for fd in (read, write, *received):
            os.close(fd)
