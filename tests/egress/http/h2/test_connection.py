"""Settings and flow control of an HTTP/2 connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from tests.egress.wires import Wire

from moat.egress.http.h2.connection import MAX_STREAMS, WINDOW, HTTP2Connection
from moat.egress.http.h2.stream import Stream

if TYPE_CHECKING:
    from moat.egress.traffic.entry import Fields

REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"origin.test"),
    (b":path", b"/"),
]


class Taker(Stream):
    """A stream that consumes everything."""

    received = 0
    trailers: Fields | None = None

    def data_received(self, data: bytes) -> None:
        self.received += len(data)

    def ended(self, trailers: Fields) -> None:
        self.trailers = trailers


class Server(HTTP2Connection):
    """A server that consumes the bodies of all requests."""

    def event_received(self, event: object) -> None:
        if isinstance(event, RequestReceived):
            number = event.stream_id or 0
            self.streams[number] = Taker(self, number)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.mark.parametrize("client", [True, False])
def test_what_is_announced_is_what_holds(wire: Wire, *, client: bool) -> None:
    """The first frame announces all limits to the peer."""
    HTTP2Connection(client=client).connection_made(wire)
    peer = H2Connection(H2Configuration(client_side=not client))
    peer.initiate_connection()
    peer.receive_data(wire.take())
    assert peer.remote_settings.initial_window_size == WINDOW
    assert peer.remote_settings.max_concurrent_streams == MAX_STREAMS
    assert peer.remote_settings.enable_push == 0


@pytest.mark.parametrize("hasty", [True, False])
def test_a_body_of_many_windows_gets_through(wire: Wire, *, hasty: bool) -> None:
    """The peer's window is always refilled, even if it sends before it knows our settings."""
    server = Server(client=False)
    server.connection_made(wire)
    peer = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    peer.initiate_connection()
    if not hasty:
        peer.receive_data(wire.take())
    peer.send_headers(1, REQUEST)
    left = size = 10 * WINDOW
    while left:
        room = min(peer.local_flow_control_window(1), peer.max_outbound_frame_size, left)
        if room:
            peer.send_data(1, bytes(room))
            left -= room
        else:
            server.data_received(peer.data_to_send())
            answer = wire.take()
            assert answer, f"neither side has anything to say, and {left} bytes are left"
            peer.receive_data(answer)
    server.data_received(peer.data_to_send())
    stream = server.streams[1]
    assert isinstance(stream, Taker)
    assert stream.received == size


def test_trailers_are_those_of_any_http(wire: Wire) -> None:
    """Fields that would describe the message that has been forwarded are dropped, as in HTTP/1.1."""
    server = Server(client=False)
    server.connection_made(wire)
    peer = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    peer.initiate_connection()
    peer.send_headers(1, REQUEST)
    bad = [b"content-length", b"host", b"authorization", b"cookie"]
    bad += [b"expect", b"proxy-authorization", b"content-type"]
    trailers = [(name, b"1") for name in bad] + [(b"grpc-status", b"0")]
    peer.send_headers(1, trailers, end_stream=True)
    server.data_received(peer.data_to_send())
    stream = server.streams[1]
    assert isinstance(stream, Taker)
    assert stream.trailers == [(b"grpc-status", b"0")]
