"""The port that is meant, and how it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from moat.cli.published import place, the_port, url_of
from moat.errors import UsageError

WEB = {"name": "web", "port": 3000, "address": "127.0.0.1", "host_port": 40123, "url": "http://a"}
API = {"name": "api", "port": 4000, "address": "::1", "host_port": 40124}


def test_a_port_by_its_name_or_number() -> None:
    """Where there is one, it needs no name."""
    assert the_port("x", [WEB, API], "web") is WEB
    assert the_port("x", [WEB, API], "4000") is API
    assert the_port("x", [WEB], None) is WEB


@pytest.mark.parametrize(
    ("ports", "wanted", "complaint", "hint"),
    [
        ([WEB, API], None, "several ports: web, api", "Name one"),
        ([WEB, API], "db", "no port db", "web, api"),
        ([], None, "publishes no port", "moat run -p 3000"),
    ],
)
def test_a_port_that_is_not_clear(
    ports: list[dict[str, Any]], wanted: str | None, complaint: str, hint: str
) -> None:
    """The error says what there is."""
    with pytest.raises(UsageError, match=complaint) as caught:
        the_port("x", ports, wanted)
    assert hint in (caught.value.hint or "")


def test_a_place_is_written_as_in_a_url() -> None:
    """An IPv6 address has brackets."""
    assert place(WEB) == "127.0.0.1:40123"
    assert place(API) == "[::1]:40124"


def test_a_port_with_a_name_has_a_host_name_while_a_router_lives() -> None:
    """One that is called by its number alone stays where it is."""
    assert url_of("my.run", WEB, 8080) == "http://web.my-run.localhost:8080"
    assert url_of("my.run", WEB, 0) == "http://a"
    assert url_of("my.run", WEB | {"name": "3000"}, 8080) == "http://a"
