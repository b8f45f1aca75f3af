"""A screen as an HTML page."""

from __future__ import annotations

from tests.client.display.shown import shown

from moat.client.display.page import page
from moat.client.display.styled import Style


def test_the_page_is_whole_and_loads_nothing() -> None:
    """It has a background, a title whose markup is text, and a policy that forbids all else."""
    text = page([[("x", Style())]], "run <b>")
    assert text.startswith("<!DOCTYPE html>")
    assert "<title>run &lt;b&gt;</title>" in text
    assert "background:#1d1f21" in text
    assert "default-src 'none'" in text
    assert "<body>\n<pre>x\n</pre>\n</body>" in text


def test_every_look_is_shown() -> None:
    """Reversed text has a background of its own, and plain text has no element."""
    text = page(shown(b"a\x1b[7mb\x1b[0;1;3;2;8;4;9;31;44mc"), "run")
    style = (
        "color:#cc6666;background:#81a2be;font-weight:bold;font-style:italic;opacity:.5;"
        "visibility:hidden;text-decoration:line-through underline"
    )
    spans = f'<span style="color:#1d1f21;background:#c5c8c6">b</span><span style="{style}">c</span>'
    assert f"<pre>a{spans}\n</pre>" in text


def test_a_hostile_screen_is_text() -> None:
    """Neither markup nor a link of the program's gets into the page."""
    hostile = b"<script>x</script>\x1b]8;;javascript:x\x1b\\'\">\x1b]8;;\x1b\\"
    text = page(shown(hostile), "run")
    assert "&lt;script&gt;x&lt;/script&gt;" in text
    assert "javascript" not in text
    assert "href" not in text
