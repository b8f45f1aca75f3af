"""Timeouts of a client's HTTP/2 connection, which are those of HTTP/1.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame
from tests.egress.wires import Wire

from moat.egress.http.h2.server import HTTP2Server
from moat.egress.http.interfaces import Destination
from moat.egress.http.origin_check import OriginCheck
from moat.spec.network import Timeouts

if TYPE_CHECKING:
    from moat.egress.http.interfaces import Connection, ServerGateway
    from moat.egress.http.messages import BadMessageError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TIMEOUTS = Timeouts(header=30.0)


class Run:
    """A gateway whose clock the test sets, and which notes malformed requests."""

    def __init__(self) -> None:
        self.time = 0.0
        self.problems: list[tuple[str, int]] = []

    def clock(self) -> float:
        return self.time

    def opened(self, connection: Connection) -> None:
        """The connection was opened."""

    def closed(self, connection: Connection) -> None:
        """The test sees that at the wire."""

    def malformed(self, destination: Destination | None, problem: BadMessageError) -> None:
        del destination
        self.problems.append((str(problem), problem.status))


class Play:
    def __init__(self) -> None:
        self.run = Run()
        self.wire = Wire()
        origin = OriginCheck(Destination("https", "a.test", 443))
        self.server = HTTP2Server(cast("ServerGateway", self.run), origin)
        self.server.connection_made(self.wire)

    def says(self, data: bytes, at: float) -> None:
        self.run.time = at
        self.server.data_received(data)
        self.server.check(at, TIMEOUTS)

    def drips(self, data: bytes, start: float, end: float) -> float:
        """Send a byte every five seconds, and return the time when the connection was closed."""
        self.run.time = start
        for byte in data:
            self.says(bytes((byte,)), self.run.time)
            if self.wire.closed or self.run.time >= end:
                break
            self.run.time += 5.0
        return self.run.time


OPENING = PREFACE + SettingsFrame(0).serialize()
HEAD = HeadersFrame(1, bytes(1000)).serialize()
UNKNOWN = b"\0\x40\0\xee\0\0\0\0\0" + bytes(1000)
GOAWAY = GoAwayFrame(0, additional_data=bytes(1000)).serialize()


@pytest.mark.parametrize(
    ("opening", "slow"),
    [(OPENING, HEAD), (OPENING, UNKNOWN), (OPENING, GOAWAY), (b"", PREFACE)],
    ids=["head", "unknown", "goaway", "preface"],
)
def test_what_comes_in_drops_is_ended(opening: bytes, slow: bytes) -> None:
    """A client that sends a byte at a time gets one GOAWAY, and one entry in the record."""
    play = Play()
    if opening:
        play.says(opening, 0.0)
    assert play.drips(slow, 100.0, 200.0) == 135.0
    assert play.wire.take().endswith(GoAwayFrame(0, 0, 11).serialize())
    play.server.check(150.0, TIMEOUTS)
    assert play.run.problems == [("the head was not completed in time", 408)]


def test_half_a_head_is_ended() -> None:
    """Whole frames of an unfinished head don't help the client."""
    play = Play()
    play.says(OPENING + HEAD, 0.0)
    play.server.check(30.0, TIMEOUTS)
    assert not play.wire.closed
    play.server.check(31.0, TIMEOUTS)
    assert play.wire.closed


def test_what_goes_on_has_all_the_time() -> None:
    """Complete frames, a slow body, and a client that isn't read from have no such timeout."""
    play = Play()
    play.says(OPENING, 0.0)
    ping = PingFrame(0, bytes(8)).serialize()
    for number in range(20):
        play.says(ping[-3:] + ping[:-3] if number else ping[:-3], 10.0 * number)
    assert not play.wire.closed
    play.server.pause_writing()
    play.server.check(250.0, TIMEOUTS)
    play.run.time = 255.0
    play.server.resume_writing()
    play.says(ping[-3:], 284.0)
    data = DataFrame(1, bytes(100)).serialize()
    play.says(data[:9], 285.0)
    play.drips(data[9:60], 290.0, 500.0)
    assert not play.wire.closed
    assert play.run.problems == []
