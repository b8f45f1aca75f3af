"""A client's way to a spare, where that doesn't answer."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from moat.client.connect import spare as client
from moat.platform import sockets
from moat.platform.standing import standing
from moat.wire import spare

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("waiting", [0, 1], ids=["room", "full"])
def test_a_spare_that_is_stopped_keeps_nobody(tmp_path: Path, waiting: int) -> None:
    """Nor does one whose queue is full of clients that have left, where connecting waits, too."""
    folder = tmp_path / spare.FOLDER
    folder.mkdir()
    name = f"{spare.name_of(spare.identity(sys.executable, standing()))}.sock"
    with ExitStack() as stack:
        stack.enter_context(sockets.listen(folder, name, socket.SOCK_SEQPACKET, backlog=0))
        for _ in range(waiting):
            stack.enter_context(sockets.connect(folder, name, socket.SOCK_SEQPACKET))
        assert not client.fork(sys.executable, str(tmp_path), "0" * 12, {}, (0, 1, 2))


@pytest.mark.timeout(20)
def test_a_spare_that_is_stopped_before_it_forks_gets_nothing(tmp_path: Path) -> None:
    """It has the request then, and no descriptor that whoever waits would wait for."""
    folder = tmp_path / spare.FOLDER
    folder.mkdir()
    name = f"{spare.name_of(spare.identity(sys.executable, standing()))}.sock"
    with sockets.listen(folder, name, socket.SOCK_SEQPACKET) as listener:
        assert not client.fork(sys.executable, str(tmp_path), "0" * 12, {}, (0, 1, 2))
        with listener.accept()[0] as sock:
            message, descriptors = sockets.receive(sock, spare.MAX_REQUEST, 8)
            assert spare.Request.decode(message).run_id == "0" * 12
            assert not descriptors
            assert sockets.receive(sock, 1, 8) == (b"", [])
