"""TLS alerts, as another implementation of TLS reads them."""

from __future__ import annotations

import pytest

from moat.egress.tls.alert import Alert


@pytest.mark.parametrize("alert", Alert)
def test_an_alert_is_a_whole_fatal_record(alert: Alert) -> None:
    """The record has type 21, a length that is its own, level 2 and the alert's number (RFC 8446 6)."""
    kind, major, _minor, *length, level, description = alert.record()

    assert (kind, major) == (21, 3)
    assert int.from_bytes(bytes(length)) == 2
    assert (level, description) == (2, alert.value)
