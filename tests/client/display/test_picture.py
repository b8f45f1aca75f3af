"""A screen as an SVG picture."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from tests.client.display.shown import shown

from moat.client.display.picture import picture
from moat.client.display.styled import Style

SVG = "{http://www.w3.org/2000/svg}"


def _texts(svg: str) -> list[tuple[str | None, dict[str, str]]]:
    return [(each.text, dict(each.attrib)) for each in ET.fromstring(svg).iter(f"{SVG}text")]


def test_text_stands_in_its_cells() -> None:
    """A piece begins at its column and is as wide as its cells, wide characters and blanks counted."""
    svg = picture(shown("ab \x1b[31m漢\x1b[m\r\n\x1b[1;4mc".encode()), "run <b>", 40, 5)
    assert ET.fromstring(svg).findtext(f"{SVG}title") == "run <b>"
    assert [(text, look["x"], look["y"], look["textLength"]) for text, look in _texts(svg)] == [
        ("ab ", "10", "23", "25.2"),
        ("漢", "35.2", "23", "16.8"),
        ("c", "10", "40", "8.4"),
    ]
    assert _texts(svg)[1][1]["fill"] == "#cc6666"
    assert _texts(svg)[2][1]["font-weight"] == "bold"
    assert _texts(svg)[2][1]["text-decoration"] == "underline"
    assert ET.fromstring(svg).attrib["width"] == "356"


def test_backgrounds_are_boxes_and_hidden_text_is_not_there() -> None:
    """Reversed blanks are seen, though they have no text to draw; a faint, slanted text is both."""
    svg = picture(shown(b"\x1b[7m  \x1b[0;8mx\x1b[0;2;3my"), "run", 40, 5)
    boxes = [each.attrib for each in ET.fromstring(svg).iter(f"{SVG}rect")]
    assert [(box["width"], box["fill"]) for box in boxes[1:]] == [("16.8", "#c5c8c6")]
    ((text, look),) = _texts(svg)
    assert text == "y"
    assert (look["font-style"], look["fill-opacity"]) == ("italic", ".5")


@given(st.text())
def test_any_text_gives_a_document(text: str) -> None:
    """A parser reads the picture whatever a hostile program shows and the run is called."""
    ET.fromstring(picture([[(text, Style())]], text, 80, 24).encode("utf-8", "replace"))
