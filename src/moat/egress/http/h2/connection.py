"""A connection of many streams (RFC 9113), which either side of the proxy may speak.

The state machine is h2's. This package does what h2 leaves to its user: it keeps what waits for the
peer's flow-control window (`stream`), and bounds that as well as what the peer may send ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings

from moat.egress.http.h2 import heads
from moat.egress.http.h2.frames import FrameReader, RefusedFrameError
from moat.egress.http.messages import BadMessageError
from moat.egress.streams import StreamProtocol, ending

if TYPE_CHECKING:
    import asyncio

    from h2.connection import AllowedStreamIDs
    from h2.stream import H2Stream

    from moat.egress.http.h2.stream import Stream
    from moat.egress.traffic.entry import Fields

MAX_STREAMS: Final = 100
"""Streams that may be open at once on one connection."""
WINDOW: Final = 256 * 1024
"""Bytes that a peer may send on a stream before they are consumed."""
_HEADER_LIST: Final = 64 * 1024
"""The size of a peer's header list, uncompressed, at most (RFC 9113 6.5.2)."""
_SETTINGS: Final = {
    SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
    SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
    SettingCodes.MAX_HEADER_LIST_SIZE: _HEADER_LIST,
    SettingCodes.ENABLE_PUSH: 0,
}
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class _Connection(H2Connection):
    """h2's state machine, without its check of the length of bodies.

    A body of another length than its head says is an error of the stream alone (RFC 9113 8.1.1), and the
    exchange finds it. h2 would end the connection with all its streams.
    """

    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        stream = super()._begin_new_stream(stream_id, allowed_ids)
        # There is no setting for it.
        stream._initialize_content_length = _expect_any_length  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return stream


def _expect_any_length(headers: object) -> None:
    """Do nothing: `heads` reads the length."""


class HTTP2Connection(StreamProtocol):
    """A connection whose streams do not hold back one another."""

    def __init__(self, *, client: bool) -> None:
        self.h2: H2Connection = _Connection(
            H2Configuration(client_side=client, header_encoding=None)
        )
        # Set at once: h2 does not announce values that are assigned one by one, but relies on them as
        # soon as the peer has acknowledged the others.
        self.h2.local_settings = Settings(client=client, initial_values=_SETTINGS)
        self.h2.decoder.max_header_list_size = _HEADER_LIST
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.streams: dict[int, Stream] = {}
        self.full = False
        """The transport's buffer is full."""
        self.terminated = False
        """No further streams are taken; the present ones go on."""
        self._reset: frozenset[int] = frozenset()
        """Streams that the peer has reset in the data that is being handled."""
        self._frames = FrameReader(skip=0 if client else len(_PREFACE))

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport = cast("asyncio.Transport", transport)
        self.h2.initiate_connection()
        # The connection's own window is for all streams together (RFC 9113 6.9.2).
        self.h2.increment_flow_control_window(2 * self._share)
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        try:
            data, goaways = self._frames.feed(data)
            self._handle(self.h2.receive_data(data))
        except (RefusedFrameError, ProtocolError, BadMessageError) as exc:
            self._refuse(exc)
            return
        for goaway in goaways:
            self.terminated = True
            self.goaway_received(goaway.last_stream)
        self.flush()
        for stream in tuple(self.streams.values()):
            self.read_done(stream)
        if goaways:
            self.close_when_done()

    def _refuse(self, exc: Exception) -> None:
        if isinstance(exc, RefusedFrameError):
            self.h2.close_connection(exc.code)
        elif isinstance(exc, BadMessageError):  # valid to h2, but HTTP/1.1 could not express it
            self.h2.close_connection(ErrorCodes.PROTOCOL_ERROR)
        self.terminate(f"malformed HTTP/2: {exc}")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.lost(ending(exc))

    def pause_writing(self) -> None:
        # A peer that sends pings or settings without reading the answers is not read any more.
        self.full = True
        self._transport.pause_reading()
        self._pump_all()

    def resume_writing(self) -> None:
        self.full = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
        self._pump_all()

    # --- events ---

    def _handle(self, events: list[Event]) -> None:
        # h2 has read to the end: a stream that is reset there is closed to it already, and sending
        # anything on it before we come to that event would be an error.
        resets = [event.stream_id or 0 for event in events if isinstance(event, StreamReset)]
        self._reset = frozenset(resets)
        for number in resets:
            if number in self.streams:
                self.streams[number].closed = True
        for event in events:
            self._handle_event(event)
        self._reset = frozenset()

    def is_reset(self, number: int) -> bool:
        """Tell whether the peer has reset a stream in the data that is being handled."""
        return number in self._reset

    def _handle_event(self, event: Event) -> None:
        match event:
            case DataReceived():
                self._data(event)
            case WindowUpdated() | RemoteSettingsChanged():
                self._pump_all()
            case TrailersReceived():
                self._trailers(event)
            case StreamReset():
                stream = self.streams.pop(event.stream_id, None)
                if stream is not None:
                    stream.closed = True
                    stream.lost(f"reset the stream ({event.error_code!s})")
                self.stream_reset()
            case _:
                self.event_received(event)

    def event_received(self, event: Event) -> None:
        """An event that only one of the two sides meets."""

    def goaway_received(self, last_stream: int) -> None:
        """The peer ignores all streams after this one."""

    def stream_reset(self) -> None:
        """The peer has reset a stream."""

    def read_done(self, stream: Stream) -> None:
        """Everything that one read brought for the stream has been handled."""

    def close_when_done(self) -> None:
        if not self.streams:
            self._transport.close()

    def _data(self, event: DataReceived) -> None:
        size = event.flow_controlled_length or 0
        stream = self.streams.get(event.stream_id or 0)
        if stream is None:  # it has been answered, but its bytes count in the connection's window
            self.acknowledge(size, event.stream_id or 0)
            return
        stream.consumed(size)
        if event.data:
            stream.data_received(event.data)
        if event.stream_ended is not None:
            stream.ended([])

    def _trailers(self, event: TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id or 0)
        if stream is not None:
            stream.ended(heads.trailers(cast("Fields", event.headers)))

    # --- for streams ---

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def acknowledge(self, size: int, number: int) -> None:
        """Let the peer send as many bytes again (WINDOW_UPDATE)."""
        if not size:
            return
        try:
            self.h2.acknowledge_received_data(size, number)
        except StreamClosedError:
            return  # h2 has restored the connection's window itself

    def reset(self, number: int, code: int) -> None:
        self.streams.pop(number, None)
        try:
            self.h2.reset_stream(number, code)
        except (StreamClosedError, ProtocolError):
            return  # the peer was first
        self.flush()

    def terminate(self, why: str) -> None:
        """Send the GOAWAY that h2 has queued, and close the connection: the peer broke the protocol."""
        self.flush()
        self._transport.close()
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.closed = True
            stream.lost(why)

    def _pump_all(self) -> None:
        for stream in tuple(self.streams.values()):
            stream.pump()
        self.flush()
