"""Output of a session, put together into lines."""

from __future__ import annotations

from moat.session.journal.events import Lines, Written
from moat.session.journal.index import Stream

OUT, ERR = Stream.STDOUT, Stream.STDERR


def test_a_line_has_the_time_of_its_beginning() -> None:
    """A line that came in pieces is one, with the time of the first."""
    lines = Lines()

    assert list(lines.feed(Written(1.0, OUT, b"one\ntw"))) == [Written(1.0, OUT, b"one\n")]
    assert list(lines.feed(Written(2.0, OUT, b"o\nthree\n"))) == [
        Written(1.0, OUT, b"two\n"),
        Written(2.0, OUT, b"three\n"),
    ]
    assert lines.rest() == []


def test_streams_do_not_mix() -> None:
    """A line of stderr doesn't end one of stdout that has begun."""
    lines = Lines()

    assert list(lines.feed(Written(1.0, OUT, b"out"))) == []
    assert list(lines.feed(Written(2.0, ERR, b"err\n"))) == [Written(2.0, ERR, b"err\n")]
    assert list(lines.feed(Written(3.0, OUT, b"!\n"))) == [Written(1.0, OUT, b"out!\n")]


def test_a_line_without_an_end_is_the_rest() -> None:
    """What has begun and not ended is there at the end, once."""
    lines = Lines()

    assert list(lines.feed(Written(1.0, OUT, b"prompt> "))) == []
    assert lines.rest() == [Written(1.0, OUT, b"prompt> ")]
    assert lines.rest() == []


def test_a_line_without_end_is_not_held() -> None:
    """An endless line comes in parts, and none of them is kept in memory."""
    lines = Lines()
    piece = Written(1.0, OUT, b"x" * 100_000)

    assert list(lines.feed(piece)) == [piece]
    assert lines.rest() == []
