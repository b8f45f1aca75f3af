"""The report of a run as a page, which a hostile run would like to be its own."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.cli.report_page import POLICY, Report, Table, page

HOSTILE = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "</pre></style></title><svg onload=x>",
            "\x1b]0;x\x07\x00\udcff\u202e",
            "javascript:x",
            "&lt;b&gt;",
        ]
    ),
)
ROWS = st.lists(st.tuples(HOSTILE, HOSTILE), max_size=4)


class Parsed(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def made(text: str = "x", rows: list[tuple[str, str]] | None = None, **more: str) -> str:
    table = Table(header=("A", "B"), rows=rows or [], bad=frozenset((0,)), left_out=3)
    report = Report(
        name=text,
        state=text,
        made=text,
        facts=[(text, text)],
        timeline=table,
        hosts=table,
        denials=table,
        models=table,
        tokens=[(1.0, 5)],
        span=(0.0, 2.0),
        changes=[text],
        notes=[text],
        **more,
    )
    return "".join(page(report))


@given(text=HOSTILE, rows=ROWS)
def test_nothing_that_a_run_says_is_more_than_text(text: str, rows: list[tuple[str, str]]) -> None:
    """Whatever it contains, the page has no tag and no attribute that it wouldn't have without."""
    parsed = Parsed(made(text, rows, output=text))
    plain = Parsed(made("x", [("a", "b")], output="x"))
    assert parsed.tags <= plain.tags
    assert parsed.attributes <= plain.attributes
    assert not parsed.tags & {"script", "img", "a", "iframe", "link", "form"}
    assert not any(name.startswith("on") or name in {"href", "src"} for name in parsed.attributes)


def test_the_page_says_that_it_loads_nothing() -> None:
    """A browser holds it to that."""
    text = made()
    assert f'http-equiv="Content-Security-Policy" content="{POLICY}"' in text
    assert "default-src 'none'" in POLICY
    assert "http://" not in text.replace("http-equiv", "")
    assert "https://" not in text


@pytest.mark.parametrize("rows", [[], [("seen", "denied")]])
def test_a_part_without_anything_in_it_is_left_out(rows: list[tuple[str, str]]) -> None:
    """A run without a network has no table of hosts."""
    text = made("x", rows)
    assert ("<h2>Network</h2>" in text) is bool(rows)
    assert ("3 earlier ones are left out" in text) is bool(rows)
    assert ('<tr class="bad"><td>seen</td>' in text) is bool(rows)


def test_a_screen_stays_as_it_was_made() -> None:
    """The maker of a screen has escaped it; without one, the end of the output is there."""
    assert '<pre class="screen"><span>x</span>' in made(screen="<span>x</span>", output="ignored")
    assert "ignored" not in made(screen="<span>x</span>", output="ignored")
    assert "one\n&lt;two&gt;" in made(output="one\n<two>")
