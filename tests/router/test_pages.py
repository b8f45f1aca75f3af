"""The router's own pages."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.router import pages
from moat.router.table import Port, Problem, RunEntry

TEXT = st.text(max_size=60)


class Document(HTMLParser):
    """The elements and texts of a page."""

    def __init__(self, page: pages.Page) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.text = ""
        self.feed(page.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def field(page: pages.Page, name: bytes) -> str:
    return dict(page.fields)[name].decode()


def test_the_index_links_to_every_port() -> None:
    """With the scheme and the port by which the user has come."""
    runs = [
        RunEntry("1" * 12, "fix", (Port("web", 3000, "127.0.0.1", 1), Port("api", 1, "::1", 2))),
        RunEntry("2" * 12, "none", ()),
    ]
    page = pages.index(runs, "https", 8443)
    document = Document(page)
    assert page.status == 200
    assert document.links == [
        "https://web.fix.localhost:8443",
        "https://api.fix.localhost:8443",
    ]
    assert "none" not in document.text


def test_an_empty_index_says_how_it_gets_full() -> None:
    """Not a blank page."""
    assert "moat run -p" in Document(pages.index([], "http", 8080)).text


def test_a_problem_has_its_reason_and_its_hint() -> None:
    """The status is HTTP's, with its usual phrase."""
    page = pages.problem(Problem(503, "run fix is stopped", "Start it again"), "http", 8080)
    assert (page.status, page.phrase) == (503, b"Service Unavailable")
    document = Document(page)
    assert "run fix is stopped" in document.text
    assert "Start it again" in document.text
    assert document.links == ["http://localhost:8080"]


@given(TEXT, TEXT)
def test_nothing_in_a_name_becomes_a_part_of_the_page(reason: str, hint: str) -> None:
    """A name may come from anybody who has a link opened."""
    plain = Document(pages.problem(Problem(404, "reason", "hint"), "http", 80))
    found = Problem(404, reason or "reason", hint or "hint")
    document = Document(pages.problem(found, "http", 80))
    assert document.tags == plain.tags


@pytest.mark.parametrize(
    "page", [pages.index([], "http", 1), pages.problem(Problem(404, "no"), "http", 1)]
)
def test_a_page_can_do_nothing(page: pages.Page) -> None:
    """No scripts, no frames around it, nothing from elsewhere, and no site learns whence one came."""
    policy = field(page, b"Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert field(page, b"Referrer-Policy") == "no-referrer"
    assert b"<script" not in page.body
