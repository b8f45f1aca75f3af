"""Messages that both versions of HTTP share."""

from __future__ import annotations

from moat.egress.http.messages import CHUNKED, RequestHead

UNUSUAL = {
    "host": b"a.test",
    "framing": CHUNKED,
    "keep_alive": False,
    "minor": 0,
    "continues": True,
    "overriding": ("PUT",),
    "rerouted": ("/y",),
    "upgrade": b"websocket",
}


def test_a_copy_has_all_of_its_request_and_fields_of_its_own() -> None:
    """A change of the copy leaves the client's request as it was."""
    request = RequestHead("POST", "/x", [(b"A", b"1")])
    for name, value in UNUSUAL.items():
        assert getattr(request, name) != value
        setattr(request, name, value)
    copy = request.copy()
    names = [name for name in dir(RequestHead("GET", "/", [])) if not name.startswith("_")]
    assert {*names} == {*UNUSUAL, "method", "target", "fields", "copy", "repeatable", "with_fields"}
    for name in {*names} - {"copy", "with_fields"}:
        assert getattr(copy, name) == getattr(request, name), name
    copy.fields.append((b"Authorization", b"2"))
    assert request.fields == [(b"A", b"1")]
