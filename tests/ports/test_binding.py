"""The listening sockets of published ports."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing

import pytest

from moat.ports import binding
from moat.ports.binding import PortUnavailableError, bind, places, url
from moat.spec.port import PublishedPort


def test_a_free_port_is_the_same_for_both_families() -> None:
    """A browser may try either address of localhost."""
    bound = bind(PublishedPort(name="web", port=3000))
    assert set(bound) == {"inet", "inet6"}
    assert len({sock.getsockname()[1] for sock in bound.values()}) == 1
    for sock in bound.values():
        with sock, closing(socket.create_connection(sock.getsockname()[:2])):
            pass


def test_a_port_that_is_taken_is_named_with_a_way_out() -> None:
    """Nothing stays bound: the other family's socket is closed."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(PortUnavailableError, match=f"port {number} is taken") as caught:
            bind(PublishedPort(name="web", port=3000, host_port=number))
        assert "-p web=3000" in (caught.value.hint or "")
        with socket.create_server(("127.0.0.1", number)):
            pass


def test_another_address_has_one_family() -> None:
    """It is what was asked for, and nothing besides."""
    port = PublishedPort(name="web", port=3000, address="127.0.0.9")
    bound = bind(port)
    with bound["inet"] as sock:
        assert sock.getsockname()[0] == "127.0.0.9"
    assert list(bound) == ["inet"]
    assert places(PublishedPort(name="a", port=1, address="::")) == {"inet6": "::"}


def test_an_address_of_another_machine() -> None:
    """The error says what is wrong with it."""
    with pytest.raises(PortUnavailableError, match="can't be had") as caught:
        bind(PublishedPort(name="web", port=3000, address="192.0.2.1", host_port=8080))
    assert "one of this machine" in (caught.value.hint or "")


def test_without_ipv6_the_loopback_is_that_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many containers and machines have it."""
    monkeypatch.setattr(binding, "LOOPBACK", {"inet": "127.0.0.1", "inet6": "2001:db8::1"})
    bound = bind(PublishedPort(name="web", port=3000))
    assert list(bound) == ["inet"]
    bound["inet"].close()


def test_a_port_that_only_root_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says from where on others are free."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(binding, "_listening", refuse)
    with pytest.raises(PortUnavailableError, match="port 81 is kept for root"):
        bind(PublishedPort(name="web", port=3000, host_port=81))


def test_a_free_port_of_one_family_may_be_taken_in_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then another is tried, and not without end."""
    tried: list[str] = []

    def refuse(family: str, *_: object) -> None:
        tried.append(family)
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

    monkeypatch.setattr(binding, "_listening", refuse)
    with pytest.raises(PortUnavailableError, match="a free port"):
        bind(PublishedPort(name="web", port=3000))
    assert len(tried) > 8


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("", "http://127.0.0.1:40123"),
        ("localhost", "http://127.0.0.1:40123"),
        ("0.0.0.0", "http://127.0.0.1:40123"),
        ("::", "http://[::1]:40123"),
        ("::1", "http://[::1]:40123"),
        ("192.0.2.7", "http://192.0.2.7:40123"),
    ],
)
def test_the_url_of_a_port(address: str, shown: str) -> None:
    """A browser can open it."""
    assert url(PublishedPort(name="web", port=3000, address=address), 40123) == shown
