"""The interpretations of a path, and the paths that are ambiguous."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.spec.request_path import has_dot_segments, interpretations


@pytest.mark.parametrize(
    ("target", "paths"),
    [
        ("/a/b", ["/a/b"]),
        ("/a/b/?q=/c", ["/a/b"]),
        ("*", ["/"]),
        ("/%61%2D/%7ea", ["/a-/~a"]),
        ("/a/./b/../c", ["/a/c"]),
        ("/a/%2e%2E/c", ["/c"]),
        ("/../../c", ["/c"]),
        ('/a[1]"{', ["/a%5B1%5D%22%7B"]),
        ("/a%5b1%5d%22%7b", ["/a%5B1%5D%22%7B"]),
        ("/caf%c3%a9", ["/caf\u00e9"]),
        ("/cafe%cc%81", ["/cafe\u0301", "/caf\u00e9"]),
        ("/%ef%bd%81dmin", ["/\uff41dmin", "/admin"]),
        ("//a", ["/a", "//a"]),
        ("/a//b/", ["/a/b", "/a//b"]),
        ("/a/..//b", ["/b", "//b"]),
        ("/a./b", ["/a./b", "/a/b"]),
        ("/a%20/b..%20", ["/a%20/b..%20", "/a/b"]),
    ],
)
def test_all_spellings_have_the_same_forms(target: str, paths: list[str]) -> None:
    """The paths are those that different servers see, the usual one first."""
    found = interpretations(target)
    assert list(found.paths) == paths
    assert found.unambiguous


@pytest.mark.parametrize(
    "target",
    [
        *("/secret//../x", "/a//b/../c", "//../x", "/secret/a//../../x"),
        *("/a%2fb", "/a%5cb", "/a\\b", "/a%00", "/a%0ab", "/a%7f", "/a%3fb", "/a%23b"),
        *("/a;x", "/a;x=y/b", "/a/..;/b", "/a%3bx"),
        *("/%252e%252e/b", "/%u0061", "/a%", "/a%4", "/a%zz"),
        *("/%c0%ae%c0%ae/b", "/a%c0%afb", "/a%ff", "/%e0%80%af", "/%ed%a0%80", "/%c3x%a9"),
        *("/%ef%bc%8fb", "/%ef%bc%8e%ef%bc%8e/b", "/%e2%80%a6/b", "/a%ef%bc%9bx"),
        *("/.../b", "/..%20/b", "/.%20./b", "/%20/b"),
    ],
)
def test_what_servers_may_see_in_another_way_is_not_clear(target: str) -> None:
    """Empty segments before dots, hidden separators, parameters, double encodings, and not UTF-8."""
    assert not interpretations(target).unambiguous


@given(st.text("ab./%2eEfF;5cC0\\ ", max_size=40) | st.text(max_size=20))
def test_every_form_is_a_path_without_dots_and_is_its_own_form(text: str) -> None:
    """This holds for any text."""
    for path in interpretations(f"/{text}").paths:
        assert path.startswith("/")
        assert not {".", ".."} & set(path.split("/"))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["/", ".", "%20", "/..", "%c3", "%ef%bc%8f", ";", "%", "/.%20"])
def test_no_path_takes_long(piece: str) -> None:
    """A hostile program writes the path, and the supervisor does nothing else meanwhile."""
    interpretations("/" + piece * (60_000 // len(piece)) + "x")


@pytest.mark.parametrize(
    ("target", "has"),
    [
        *(("/a/../b", True), ("/%2e/b", True), ("/a/.%2E", True), ("/a/..;x/b", True)),
        *(("/..a/.b", False), ("/a?x=/../b", False), ("/a/b...", False)),
    ],
)
def test_dot_segments_are_found_in_any_spelling(target: str, *, has: bool) -> None:
    """They are segments of their own, and not a part of one or of the query."""
    assert has_dot_segments(target) is has
