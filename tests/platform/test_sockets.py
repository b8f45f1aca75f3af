"""Unix sockets in a run's folder."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from moat.platform import sockets


@pytest.mark.parametrize("length", [90, 106, 107, 108, 109, 300])
def test_the_length_of_the_path_does_not_matter(length: int) -> None:
    """At sun_path's 107 bytes, and beyond, a socket is created and found."""
    with tempfile.TemporaryDirectory(prefix="moat-") as short:
        name = length - len(short) - len("//x.sock")
        folder = Path(short).joinpath("a" * min(name, 200), "b" * max(0, name - 201))
        folder.mkdir(parents=True)
        assert len(os.fsencode(folder / "x.sock")) == length
        assert talk(folder) == b"hi"


def talk(folder: Path) -> bytes:
    with sockets.listen(folder, "x.sock") as listener, sockets.connect(folder, "x.sock") as client:
        server, _ = listener.accept()
        with server:
            client.sendall(b"hi")
            return server.recv(2)


@pytest.mark.parametrize("mask", [0, 0o022])
def test_only_the_owner_may_connect(tmp_path: Path, mask: int) -> None:
    """The socket is 0600 from its first moment, and the umask stays as it was."""
    before = os.umask(mask)
    try:
        with sockets.listen(tmp_path, "x.sock"):
            assert stat.S_IMODE((tmp_path / "x.sock").stat().st_mode) == 0o600
        assert os.umask(mask) == mask
    finally:
        os.umask(before)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """Neither end leaves a socket open."""
    for missing in (tmp_path / "gone", tmp_path / ("gone" * 40)):
        with pytest.raises(FileNotFoundError):
            sockets.listen(missing, "x.sock")
        with pytest.raises(FileNotFoundError):
            sockets.connect(missing, "x.sock")


def test_a_dead_listener_is_told_from_a_missing_one(tmp_path: Path) -> None:
    """Nobody listens in either case, and neither blocks."""
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
    """The kernel tells pid and uid."""
    with sockets.listen(tmp_path, "x.sock") as listener, sockets.connect(tmp_path, "x.sock"):
        server, _ = listener.accept()
        with server:
            assert sockets.peer(server) == (os.getpid(), os.geteuid())


def test_the_peer_is_the_process_that_connected(tmp_path: Path) -> None:
    """It isn't the process's parent, or whoever the process claims to be."""
    with sockets.listen(tmp_path, "x.sock") as listener:
        child = os.fork()
        if child == 0:
            sockets.connect(tmp_path, "x.sock").recv(1)
            os._exit(0)
        server, _ = listener.accept()
        with server:
            assert sockets.peer(server)[0] == child
        os.waitpid(child, 0)


def test_received_descriptors_are_not_inherited() -> None:
    """Otherwise the next command would inherit folders of the host passed for its sandbox."""
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
