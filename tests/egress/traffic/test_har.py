"""HTTP archives, validated against the specification (HAR 1.2)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.traffic import har
from moat.egress.traffic.schema import NO_CAPTURE, Captured, Row

ROW = Row(
    id=1, kind="request", time=1_767_225_600.25, verdict="allowed", status=200, method="POST",
    scheme="https", host="api.example.com", port=8443, address="192.0.2.7", protocol="HTTP/2", rule="",
    error="", credential="", dns=0.01, connect=0.02, tls=0.03, first_byte=0.1, total=0.15, sent=12,
    received=34, path="/v1?a=1&b=%20x&c", usage=None,
)  # fmt: skip

# Keys of each object, and their types; those in `OPTIONAL` may be missing.
LOG = {"version": str, "creator": dict, "entries": list}
ENTRY = {
    "startedDateTime": str, "time": (int, float), "request": dict, "response": dict,
    "cache": dict, "timings": dict, "serverIPAddress": str, "comment": str,
}  # fmt: skip
REQUEST = {
    "method": str, "url": str, "httpVersion": str, "cookies": list, "headers": list,
    "queryString": list, "postData": dict, "headersSize": int, "bodySize": int,
}  # fmt: skip
RESPONSE = {
    "status": int, "statusText": str, "httpVersion": str, "cookies": list, "headers": list,
    "content": dict, "redirectURL": str, "headersSize": int, "bodySize": int,
}  # fmt: skip
CONTENT = {
    "size": int, "compression": int, "mimeType": str, "text": str, "encoding": str, "comment": str,
}  # fmt: skip
TIMINGS = dict.fromkeys(
    ("blocked", "dns", "connect", "send", "wait", "receive", "ssl"), (int, float)
)
OPTIONAL = {"serverIPAddress", "comment", "postData", "text", "encoding", "compression"}


def check(found: dict[str, Any], shape: dict[str, Any]) -> None:
    assert found.keys() <= shape.keys()
    assert shape.keys() - found.keys() <= OPTIONAL
    for name, value in found.items():
        assert isinstance(value, shape[name]), name


def validate(text: str) -> list[dict[str, Any]]:
    """Return the entries of a document, which must follow the specification."""
    whole = json.loads(text)
    assert whole.keys() == {"log"}
    check(whole["log"], LOG)
    assert whole["log"]["version"] == "1.2"
    assert whole["log"]["creator"].keys() == {"name", "version"}
    for entry in whole["log"]["entries"]:
        check(entry, ENTRY)
        datetime.fromisoformat(entry["startedDateTime"])
        check(entry["request"], REQUEST)
        check(entry["response"], RESPONSE)
        check(entry["response"]["content"], CONTENT)
        check(entry["timings"], TIMINGS)
        for each in (
            *entry["request"]["headers"],
            *entry["request"]["queryString"],
            *entry["response"]["headers"],
        ):
            check(each, {"name": str, "value": str})
        if "postData" in entry["request"]:
            post = {"mimeType": str, "params": list, "text": str, "comment": str}
            check(entry["request"]["postData"], post)
        timings = entry["timings"]
        assert all(timings[each] >= 0 for each in ("send", "wait", "receive"))
        assert all(each >= 0 or each == -1 for each in timings.values())
        assert entry["time"] == sum(
            each for name, each in timings.items() if each >= 0 and name != "ssl"
        )
    return whole["log"]["entries"]


def one(row: Row, captured: Captured = NO_CAPTURE) -> dict[str, Any]:
    (entry,) = validate("".join(har.document([har.entry(row, captured)])))
    return entry


def test_a_request_is_an_entry() -> None:
    """A request becomes an entry with everything that its row holds."""
    entry = one(ROW)
    assert entry["startedDateTime"] == "2026-01-01T00:00:00.250Z"
    assert entry["request"]["url"] == "https://api.example.com:8443/v1?a=1&b=%20x&c"
    assert entry["request"]["queryString"] == [
        {"name": "a", "value": "1"}, {"name": "b", "value": " x"}, {"name": "c", "value": ""},
    ]  # fmt: skip
    assert (entry["response"]["status"], entry["response"]["statusText"]) == (200, "OK")
    assert (entry["request"]["bodySize"], entry["response"]["bodySize"]) == (12, 34)
    assert entry["serverIPAddress"] == "192.0.2.7"
    assert "comment" not in entry
    assert "serverIPAddress" not in one(ROW._replace(address=""))


def test_a_request_about_the_whole_server_has_its_url() -> None:
    """The URL of `OPTIONS *` has no path (RFC 9112 3.3)."""
    entry = one(ROW._replace(method="OPTIONS", path="*"))
    assert entry["request"]["url"] == "https://api.example.com:8443"


def test_timings_add_up_to_the_total() -> None:
    """A TLS handshake is part of `connect`, and a step that wasn't taken is -1."""
    entry = one(ROW)
    assert entry["timings"] == {
        "blocked": -1, "dns": 10, "connect": 50, "ssl": 30, "send": 0, "wait": 40, "receive": 50,
    }  # fmt: skip
    assert entry["time"] == 150
    reused = one(ROW._replace(dns=-1.0, connect=-1.0, tls=-1.0))["timings"]
    assert (reused["dns"], reused["connect"], reused["ssl"], reused["wait"]) == (-1, -1, -1, 100)


durations = st.floats(-1, 1e6, allow_nan=False)


@given(durations, durations, durations, durations, durations)
def test_no_combination_of_durations_is_invalid(
    dns: float, connect: float, tls: float, first_byte: float, total: float
) -> None:
    """Steps may overlap, fail or be left out, and the timings stay valid."""
    one(ROW._replace(dns=dns, connect=connect, tls=tls, first_byte=first_byte, total=total))


def test_a_denied_request_says_by_what() -> None:
    """The reason of a denial is a comment, which tools show or ignore."""
    denied = ROW._replace(verdict="denied", rule="policy: strict", error="no rule", status=403)
    assert one(denied)["comment"] == "denied: policy: strict: no rule"


def test_a_request_that_goes_on_or_got_no_answer_is_valid() -> None:
    """Status 0 stands for no response, as in the archives of browsers."""
    entry = one(ROW._replace(status=0, total=-1.0, first_byte=-1.0, protocol="websocket"))
    assert (entry["response"]["status"], entry["response"]["statusText"]) == (0, "")
    assert entry["request"]["httpVersion"] == "HTTP/1.1"
    assert one(ROW._replace(status=799))["response"]["statusText"] == ""


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ("grün".encode(), {"text": "grün"}),
        (b"\x89PNG", {"text": "iVBORw==", "encoding": "base64"}),
        (None, {}),
    ],
)
def test_what_was_captured_is_shown(body: bytes | None, content: dict[str, str]) -> None:
    """Bodies are shown as text, or else in base64."""
    captured = Captured(
        1,
        [("Content-Type", "application/json"), ("Authorization", "***")],
        [("content-type", "text/plain"), ("Location", "/next")],
        b'{"a": "\xff"}',
        body,
    )
    entry = one(ROW, captured)
    assert entry["request"]["headers"][1] == {"name": "Authorization", "value": "***"}
    assert entry["request"]["postData"] == {
        "mimeType": "application/json", "params": [], "text": '{"a": "\ufffd"}',
    }  # fmt: skip
    assert entry["response"]["content"] == {"size": 34, "mimeType": "text/plain"} | content
    assert entry["response"]["redirectURL"] == "/next"


@pytest.mark.parametrize(
    ("body", "size", "content"),
    [
        (b"hello", 100, {"size": 100, "compression": 66, "text": "hello"}),
        (b"hello", None, {"size": -1, "text": "hello"}),
        (
            b"",
            None,
            {
                "size": -1,
                "comment": "not recorded: it can't be decoded (Content-Encoding: gzip)",
            },
        ),
    ],
)
def test_a_coded_body_has_the_length_that_it_is_decoded(
    body: bytes, size: int | None, content: dict[str, Any]
) -> None:
    """`size` is that of the decoded body; one that can't be decoded says so instead of looking empty."""
    coded = [("content-type", "text/plain"), ("Content-Encoding", "gzip")]
    entry = one(ROW, Captured(1, coded, coded, body, body, size))
    assert entry["response"]["content"] == {"mimeType": "text/plain"} | content
    assert entry["response"]["bodySize"] == 34
    assert entry["request"]["postData"].get("comment") == content.get("comment")


def test_a_document_of_nothing_and_of_many_is_valid() -> None:
    """Entries are separated by commas, however many there are."""
    assert validate("".join(har.document([]))) == []
    assert len(validate("".join(har.document(har.entry(ROW, NO_CAPTURE) for _ in range(3))))) == 3
