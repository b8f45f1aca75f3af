"""The buffers that the connections of a run share."""

from __future__ import annotations

import errno
import ssl

import pytest

from moat.egress.streams import reason, share


@pytest.mark.parametrize(("connections", "each"), [(1, 256), (128, 256), (256, 128), (4000, 16)])
def test_the_more_there_are_the_less_each_holds(connections: int, each: int) -> None:
    """A few connections get all they can use (in KiB), and thousands don't fill the memory."""
    assert share(connections) == each * 1024


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "connection reset by"),
        (ssl.SSLError(1, "[SSL] record layer failure"), "[SSL] record layer failure"),
        (OSError("no number"), "no number"),
    ],
)
def test_an_error_is_told_without_its_number(error: Exception, text: str) -> None:
    """OpenSSL's numbers are its own: its 1 isn't "operation not permitted"."""
    assert text in reason(error)
    assert "Errno" not in reason(error)
