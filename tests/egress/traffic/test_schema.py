"""Rows of the traffic database: made of entries, and shown."""

from __future__ import annotations

import gzip

import pytest

from moat.egress.traffic.entry import Fields, TrafficEntry
from moat.egress.traffic.schema import (
    BODY_LIMIT,
    Captured,
    Row,
    capture_of,
    row_of,
    storable,
    timestamp,
)


def _entry(**values: object) -> TrafficEntry:
    entry = TrafficEntry("request", 1_767_225_600.25)
    entry.scheme, entry.host, entry.port, entry.method, entry.path = (
        "https",
        "a.example",
        443,
        "GET",
        "/",
    )
    for name, value in values.items():
        setattr(entry, name, value)
    return entry


def _row(**values: object) -> Row:
    return Row(*row_of(_entry(**values)))


def _captured(**values: object) -> Captured:
    columns = capture_of(_entry(**values))
    assert columns is not None
    return Captured.of(columns)


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({}, "https://a.example/"),
        ({"port": 8443}, "https://a.example:8443/"),
        ({"host": "2001:db8::1", "port": 80, "scheme": "http"}, "http://[2001:db8::1]/"),
        ({"method": "OPTIONS", "path": "*"}, "https://a.example"),
        ({"scheme": ""}, "a.example"),
        ({"kind": "dns"}, "a.example"),
    ],
)
def test_the_url_is_what_a_user_would_write(values: dict[str, object], url: str) -> None:
    """A URL has no default port, IPv6 has brackets, OPTIONS * has no path, and DNS is a name alone."""
    assert _row(**values).url == url


@pytest.mark.parametrize(
    ("verdict", "rule", "error", "why"),
    [
        ("allowed", "GET a.example", "", ""),
        ("allowed", "mcp issues: get_issue", "", "mcp issues: get_issue"),
        ("denied", "deny a.example", "", "deny a.example"),
        ("denied", "strict", "no rule", "strict: no rule"),
        ("denied", "strict", "strict says no", "strict says no"),
        ("failed", "GET a.example", "timeout", "timeout"),
        ("failed", "", "timeout", "timeout"),
    ],
)
def test_the_reason_says_nothing_twice(verdict: str, rule: str, error: str, why: str) -> None:
    """The reason is the rule and the error in one line, each at most once."""
    assert _row(verdict=verdict, rule=rule, error=error).why == why


def test_json_has_null_for_what_did_not_take_place() -> None:
    """Durations that were not measured and a status that never came are null; the rest is rounded."""
    shown = _row(dns=0.12345678, usage={"input_tokens": 3}).as_json()

    assert shown["durations"]["dns"] == 0.123457
    assert shown["durations"]["tls"] is None
    assert shown["status"] is None
    assert shown["usage"] == {"input_tokens": 3}
    assert shown["in_progress"]
    assert shown["time"] == "2026-01-01T00:00:00.250Z"


def test_an_entry_goes_on_until_it_ends_or_fails() -> None:
    """A row is in progress while it has neither a total nor an error."""
    assert _row().in_progress
    assert not _row(total=0.1).in_progress
    assert not _row(error="timeout").in_progress


def test_only_requests_are_http() -> None:
    """A tunnel of the same scheme, which has no method, isn't HTTP."""
    assert _row().is_http
    assert not _row(method="").is_http
    assert not _row(scheme="tcp").is_http


def test_a_path_is_cut_and_its_secrets_are_masked() -> None:
    """A path is written up to a limit, without the secrets of its query."""
    assert len(_row(path="/" + "a" * 100_000).path) < 10_000
    assert "hunter2" not in _row(path="/?password=hunter2").path


def test_nothing_is_kept_where_nothing_was_captured() -> None:
    """An entry without captured fields has no row in the second table."""
    assert capture_of(_entry()) is None


def test_a_capture_is_masked_and_bounded() -> None:
    """Secrets of fields and bodies are not written, nor more of a body than the limit."""
    captured = _captured(
        request_fields=[(b"Authorization", b"Bearer hunter2"), (b"X-One", b"1")],
        request_body=b"a" * (BODY_LIMIT + 1),
        response_fields=[],
        response_body=b"",
    )

    assert ("X-One", "1") in map(tuple, captured.request_fields)
    assert "hunter2" not in str(captured.request_fields)
    assert captured.request_body == b"a" * BODY_LIMIT
    assert captured.response_fields == []
    assert captured.response_body is None


GZIPPED: Fields = [(b"Content-Encoding", b"gzip")]


@pytest.mark.parametrize("cut", [0, 1])
def test_the_size_of_a_packed_body_is_that_of_its_content(cut: int) -> None:
    """A whole body tells how long it is decoded; the beginning of one doesn't."""
    packed = gzip.compress(b"a" * 1000)
    captured = _captured(
        response_fields=GZIPPED, response_body=packed[: len(packed) - cut], received=len(packed)
    )
    assert captured.response_size == (None if cut else 1000)


def test_the_size_of_a_plain_body_is_what_was_received() -> None:
    """Without a coding, the bytes on the wire are the content's."""
    assert _captured(response_fields=[], received=7).response_size == 7


def test_any_text_can_be_stored() -> None:
    """Text that UTF-8 has no bytes for is escaped; everything else stays as it is."""
    assert storable("a\udc80ü") == "a\\udc80ü"
    assert storable(7) == 7


def test_times_are_rfc_3339() -> None:
    """Times are written in UTC with milliseconds."""
    assert timestamp(0.0625) == "1970-01-01T00:00:00.062Z"
