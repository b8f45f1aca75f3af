"""Who gets in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.web.access import Access, unguessable_name


@pytest.fixture
def access() -> Access:
    return Access("moat-x.localhost", 8090)


def test_names_and_secrets_are_new_each_time() -> None:
    """Nobody knows the next server by the last one."""
    names = {unguessable_name() for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith("moat-") and name.endswith(".localhost") for name in names)
    tokens = {Access("x", 1).token for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43


def test_the_address_has_the_secret_where_browsers_keep_it(access: Access) -> None:
    """Behind the #, which is sent nowhere."""
    assert access.url == f"http://moat-x.localhost:8090/#{access.token}"
    assert access.token not in access.one_time_url()


def test_a_ticket_admits_once(access: Access) -> None:
    """The newest alone; the token does as often as it is shown."""
    first = access.one_time_url().partition("#")[2]
    ticket = access.one_time_url().partition("#")[2]
    assert not access.admits(first)
    assert access.admits(ticket)
    assert not access.admits(ticket)
    assert access.admits(access.token)
    assert access.admits(access.token)


@given(st.text())
def test_nothing_else_admits(secret: str) -> None:
    """No text, however odd."""
    access = Access("moat-x.localhost", 8090)
    access.one_time_url()
    assert not access.admits(secret)
    assert access.admits(access.token + secret) is (not secret)


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["moat-x.localhost:8090"], True),
        ([], False),
        (["moat-x.localhost"], False),
        (["MOAT-X.localhost:8090"], False),
        (["moat-x.localhost:8090", "moat-x.localhost:8090"], False),
        (["127.0.0.1:8090"], False),
        (["evil.example:8090"], False),
    ],
)
def test_hosts(access: Access, hosts: list[str], expected: bool) -> None:
    """Exactly one, and exactly the server's."""
    assert access.is_for_us(hosts) is expected


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        (["http://moat-x.localhost:8090"], True),
        ([], False),
        (["null"], False),
        (["https://moat-x.localhost:8090"], False),
        (["http://moat-x.localhost:8090", "http://evil.example"], False),
        (["http://moat-x.localhost:8090.evil.example"], False),
    ],
)
def test_origins(access: Access, origins: list[str], expected: bool) -> None:
    """Exactly one, and exactly the page's."""
    assert access.is_from_our_page(origins) is expected
