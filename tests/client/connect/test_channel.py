"""The client's end of an attached connection."""

from __future__ import annotations

import errno
import json
import os
import resource
import select
import socket
from typing import TYPE_CHECKING, Any

import pytest

from moat.client.connect.channel import Channel, ChannelLostError
from moat.platform import sockets
from moat.wire import frames
from moat.wire.frames import FrameReader, FrameType, encode
from moat.wire.messages import Hello, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours), theirs


def test_frames_come_as_they_were_sent(ends: tuple[Channel, socket.socket]) -> None:
    """And a piece of one is kept for the next read."""
    channel, server = ends
    data = encode(FrameType.STDOUT, b"hello") + encode(FrameType.EXITED, b"{}")
    server.sendall(data[:8])
    assert list(channel.receive()) == []
    server.sendall(data[8:])
    assert list(channel.receive()) == [(FrameType.STDOUT, b"hello"), (FrameType.EXITED, b"{}")]
    assert list(channel.receive()) == []


def test_the_greeting_carries_the_terminal(ends: tuple[Channel, socket.socket]) -> None:
    """Beside the first frame, whole."""
    channel, server = ends
    read, write = os.pipe()
    channel.greet(Hello(columns=80), descriptors=[write], termios=[1, [2]])
    data, received = sockets.receive(server, 1000, 4)
    ((kind, payload),) = FrameReader().feed(data)
    assert kind == FrameType.HELLO
    assert unpack(Hello, payload) == Hello(columns=80)
    assert json.loads(payload)["termios"] == [1, [2]]
    os.write(received[0], b"same pipe")
    assert os.read(read, 100) == b"same pipe"
    for fd in (read, write, *received):
        os.close(fd)


def test_the_terminal_is_passed_whatever_other_programs_have_in_flight(
    ends: tuple[Channel, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel measures what all of the user's processes pass by the limit of this one."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    send_fds = socket.send_fds

    def limited(*arguments: Any) -> int:
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256:
            raise OSError(errno.ETOOMANYREFS, "too many references")
        return send_fds(*arguments)

    monkeypatch.setattr(socket, "send_fds", limited)
    channel, server = ends
    try:
        channel.greet(Hello(), descriptors=[0])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
    data, (passed,) = sockets.receive(server, 1000, 4)
    os.close(passed)
    assert data


def test_who_has_hung_up_can_t_be_greeted(ends: tuple[Channel, socket.socket]) -> None:
    """One error for a supervisor that is gone, whoever finds out."""
    channel, server = ends
    server.close()
    with pytest.raises(ChannelLostError):
        channel.greet(Hello())


def test_last_words_are_heard_behind_a_broken_pipe(ends: tuple[Channel, socket.socket]) -> None:
    """The supervisor says how the run ended, and goes; what is sent to it then is no error yet."""
    channel, server = ends
    server.sendall(encode(FrameType.EXITED, b"{}"))
    server.close()
    channel.send(FrameType.RESIZE, frames.SIZE.pack(80, 24))
    assert not channel.wants_to_write
    assert list(channel.receive()) == [(FrameType.EXITED, b"{}")]
    with pytest.raises(ChannelLostError):
        list(channel.receive())


def test_a_window_is_never_less_than_nothing(ends: tuple[Channel, socket.socket]) -> None:
    """What was already read from the keyboard is sent, beyond the window, too."""
    channel, _ = ends
    channel.send_input(bytes(frames.INPUT_WINDOW + 1))
    assert channel.window == 0


def test_the_end_of_the_connection_is_an_error(ends: tuple[Channel, socket.socket]) -> None:
    """A supervisor that dies says no last frame; that is how we know."""
    channel, server = ends
    server.close()
    with pytest.raises(ChannelLostError):
        list(channel.receive())


def test_input_stays_within_its_window(ends: tuple[Channel, socket.socket]) -> None:
    """What the program has not taken counts, until the supervisor says that it has."""
    channel, server = ends
    assert channel.window == frames.INPUT_WINDOW
    channel.send_input(b"x" * 1000)
    assert channel.window == frames.INPUT_WINDOW - 1000
    server.sendall(encode(FrameType.CONSUMED, frames.COUNT.pack(400)))
    assert list(channel.receive()) == []
    assert channel.window == frames.INPUT_WINDOW - 600


def test_what_the_socket_does_not_take_now_follows(ends: tuple[Channel, socket.socket]) -> None:
    """A whole window of input into a socket that nobody reads yet: in order, and nothing lost."""
    channel, server = ends
    data = bytes(range(256)) * 1024
    channel.send_input(data)
    channel.send(FrameType.DETACH)
    got: list[tuple[int, bytes]] = []
    reader = FrameReader()
    while not got or got[-1][0] != FrameType.DETACH:
        channel.flush()
        select.select([server], [], [])
        got += reader.feed(server.recv(1 << 16))
    assert not channel.wants_to_write
    assert b"".join(payload for kind, payload in got if kind == FrameType.INPUT) == data
