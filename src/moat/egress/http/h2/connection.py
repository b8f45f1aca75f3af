"""HTTP/2 (RFC 9113), as both sides of the proxy speak it: connections of many streams.

The state machine is h2's. Here is what it leaves to its user: what waits for the peer's window, what
the peer may send before it is taken, and how much of either.
"""

from __future__ import annotations

import re
from collections import deque
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

from moat.egress.http.fields import fit_for_trailers
from moat.egress.http.h2.frames import FrameReader, RefusedFrameError
from moat.egress.http.messages import BadMessageError
from moat.egress.streams import StreamProtocol, ending

if TYPE_CHECKING:
    import asyncio

    from moat.egress.http.messages import Payload
    from moat.egress.traffic.entry import Fields

MAX_STREAMS: Final = 100
"""At once, on one connection."""
WINDOW: Final = 256 * 1024
"""Bytes that a peer may send on a stream before they are taken."""
_WAITING: Final = 128 * 1024
"""Bytes of a stream that wait for the peer's window before the other side is told to stop."""
_HEADER_LIST: Final = 64 * 1024
"""RFC 9113 6.5.2: what a peer's header list may come to, uncompressed."""
_SETTINGS: Final = {
    SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
    SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
    SettingCodes.MAX_HEADER_LIST_SIZE: _HEADER_LIST,
    SettingCodes.ENABLE_PUSH: 0,
}

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


class Stream:
    """One exchange on a connection: what goes out waits here for the peer's window."""

    def __init__(self, connection: HTTP2Connection, number: int) -> None:
        self.connection = connection
        self.number = number
        self._queue: deque[memoryview] = deque()
        self._queued = 0
        self._ends = False
        self._trailers: Fields = []
        self._full = False
        self._stopped = False
        self._taken = 0
        """Bytes for which the peer has not got new room yet."""
        self.closed = connection.has_lost(number)
        """Nothing is sent any more."""

    # --- what the connection hears ---

    def data_received(self, data: bytes) -> None:
        raise NotImplementedError

    def ended(self, trailers: Fields) -> None:
        raise NotImplementedError

    def lost(self, why: str) -> None:
        raise NotImplementedError

    def full(self) -> None:
        """Too much waits to be sent."""
        raise NotImplementedError

    def drained(self) -> None:
        raise NotImplementedError

    # --- sending ---

    def send(self, payload: Payload) -> None:
        if self.closed:
            return
        for piece in payload:
            if piece:
                self._queue.append(memoryview(piece))
                self._queued += len(piece)
        self.pump()

    def end(self, trailers: Fields) -> None:
        self._ends = True
        self._trailers = trailers
        self.pump()

    def flush(self) -> None:
        self.connection.flush()

    def pump(self) -> None:
        """Sends what the peer has room for."""
        if self.closed:
            return
        h2 = self.connection.h2
        try:
            while self._queue:
                room = min(h2.local_flow_control_window(self.number), h2.max_outbound_frame_size)
                if room <= 0:
                    break
                piece = self._queue.popleft()
                if len(piece) > room:
                    self._queue.appendleft(piece[room:])
                    piece = piece[:room]
                h2.send_data(self.number, bytes(piece))
                self._queued -= len(piece)
            if self._ends and not self._queue:
                self._send_end(h2)
        except StreamClosedError:
            self._sent_all()
        self._tell_level()

    def _send_end(self, h2: H2Connection) -> None:
        if self._trailers:
            lowered = [(name.lower(), value) for name, value in self._trailers]
            h2.send_headers(self.number, lowered, end_stream=True)
        else:
            h2.end_stream(self.number)
        self._sent_all()

    def _sent_all(self) -> None:
        self.closed = True
        self._queue.clear()
        self._queued = 0

    def _tell_level(self) -> None:
        full = self._queued > _WAITING or (self._full and self._queued > _WAITING // 2)
        full = full or self.connection.full
        if full and not self._full:
            self._full = True
            self.full()
        elif self._full and not full:
            self._full = False
            self.drained()

    def reset(self, code: int) -> None:
        self.closed = True
        self._queue.clear()
        self.connection.reset(self.number, code)

    # --- receiving ---

    def took(self, size: int) -> None:
        """Gives the peer new room, at once or when this side can take more."""
        self._taken += size
        if not self._stopped:
            self._make_room()

    def pause(self) -> None:
        self._stopped = True

    def resume(self) -> None:
        if self._stopped:
            self._stopped = False
            self._make_room()
            self.connection.flush()

    def _make_room(self) -> None:
        taken, self._taken = self._taken, 0
        if taken:
            self.connection.acknowledge(taken, self.number)


class HTTP2Connection(StreamProtocol):
    """Many streams; what one of them holds back holds back no other."""

    def __init__(self, *, client: bool) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=client, header_encoding=None))
        # From the first frame on: h2 does not announce values that are given to it one by one, but
        # counts on them as soon as the peer has acknowledged the others.
        self.h2.local_settings = Settings(client=client, initial_values=_SETTINGS)
        self.h2.decoder.max_header_list_size = _HEADER_LIST
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.streams: dict[int, Stream] = {}
        self.full = False
        """The transport takes no more for now."""
        self.terminated = False
        """It takes no further streams; those that there are go on."""
        self._reset: frozenset[int] = frozenset()
        """Streams that the peer has given up in what is being read."""
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
            self._take(self.h2.receive_data(data))
        except RefusedFrameError as exc:
            self.h2.close_connection(exc.code)
            self.terminate(f"malformed HTTP/2: {exc}")
            return
        except ProtocolError as exc:
            self.terminate(f"malformed HTTP/2: {exc}")
            return
        except BadMessageError as exc:  # what h2 lets pass, but HTTP/1.1 could not say
            self.h2.close_connection(ErrorCodes.PROTOCOL_ERROR)
            self.terminate(f"malformed HTTP/2: {exc}")
            return
        for each in goaways:
            self.terminated = True
            self.went_away(each.last_stream)
        self.flush()
        for stream in tuple(self.streams.values()):
            self.settled(stream)
        if goaways:
            self.close_when_done()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.lost(ending(exc))

    def pause_writing(self) -> None:
        # A peer that asks without reading the answers (pings, settings) gets no more of our time.
        self.full = True
        self._transport.pause_reading()
        self._pump_all()

    def resume_writing(self) -> None:
        self.full = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
        self._pump_all()

    # --- events ---

    def _take(self, events: list[Event]) -> None:
        # h2 has read to the end: a stream that is reset there is closed to it already, and whatever
        # is said on it before we come to that would be an error.
        resets = [event.stream_id or 0 for event in events if isinstance(event, StreamReset)]
        self._reset = frozenset(resets)
        for number in resets:
            if number in self.streams:
                self.streams[number].closed = True
        for event in events:
            self._happened(event)
        self._reset = frozenset()

    def has_lost(self, number: int) -> bool:
        """The peer has given up this stream, and we are about to hear of it."""
        return number in self._reset

    def _happened(self, event: Event) -> None:
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
                self.was_reset()
            case _:
                self.happened(event)

    def happened(self, event: Event) -> None:
        """An event that only one of the two sides meets."""

    def went_away(self, last_stream: int) -> None:
        """The peer takes no stream after this one any more."""

    def was_reset(self) -> None:
        """The peer has given up a stream."""

    def settled(self, stream: Stream) -> None:
        """After each read: forgets streams that are over."""

    def close_when_done(self) -> None:
        if not self.streams:
            self._transport.close()

    def _data(self, event: DataReceived) -> None:
        size = event.flow_controlled_length or 0
        stream = self.streams.get(event.stream_id or 0)
        if stream is None:  # answered already: its window is given back all the same
            self.acknowledge(size, event.stream_id or 0)
            return
        stream.took(size)
        if event.data:
            stream.data_received(event.data)
        if event.stream_ended is not None:
            stream.ended([])

    def _trailers(self, event: TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id or 0)
        if stream is not None:
            fields = checked_fields(cast("Fields", event.headers))
            stream.ended(fit_for_trailers(fields))

    # --- for streams ---

    def count_here(self, number: int) -> None:
        """A body of another length than was said is its stream's error alone (RFC 9113 8.1.1).

        The exchange finds it; h2 would end the connection, with all that others do on it.
        """
        stream = self.h2.streams.get(number)
        if stream is not None:
            # There is no setting for it.
            stream._expected_content_length = None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def acknowledge(self, size: int, number: int) -> None:
        if not size:
            return
        try:
            self.h2.acknowledge_received_data(size, number)
        except StreamClosedError:
            return  # h2 gives the connection's window back itself

    def reset(self, number: int, code: int) -> None:
        self.streams.pop(number, None)
        try:
            self.h2.reset_stream(number, code)
        except (StreamClosedError, ProtocolError):
            return  # the peer was first
        self.flush()

    def terminate(self, why: str) -> None:
        """The peer does not keep to the protocol: GOAWAY, which h2 has prepared, and the end."""
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


def checked_fields(fields: Fields) -> Fields:
    """Raises `BadMessageError` for what could not stand in a head of HTTP/1.1."""
    for name, value in fields:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise BadMessageError("malformed header field")
    return fields
