"""Rules about paths: the language, and that no path takes long to compare with one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.spec.request_path import understood
from moat.spec.rules import Rule


def _plainly(pattern: str, path: str) -> bool:
    """The same as it is described, without a thought for time."""
    parts = [
        "(?:/[^/]*)*" if segment == "**" else "/" + "[^/]*".join(map(re.escape, segment.split("*")))
        for segment in pattern.split("/")[1:]
    ]
    return re.fullmatch("".join(parts), path) is not None


_SEGMENTS = st.lists(st.sampled_from(["**", "*", "a", "b", "a*", "*a", "a*b", "*a*b*"]), min_size=1)
_PATHS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=6)


@given(pattern=_SEGMENTS, path=_PATHS)
def test_stars_match_what_they_say(pattern: list[str], path: list[str]) -> None:
    """`*` within a segment, `**` any number of them, wherever they stand."""
    written = "/" + "/".join(pattern)
    known = "/" + "/".join(path)

    assert Rule.parse(f"allow a{written}").matches_path(known) == _plainly(written, known)


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/**/x/**/x/**/y", "/x" * 30_000),
        ("/**/a*/**/a*/b", "/aa" * 20_000),
        ("/*a*b*c*d", "/" + "abc" * 20_000),
        ("/**/*a*b*c*d/**/z", ("/" + "abc" * 100) * 200),
    ],
)
def test_no_path_takes_long(pattern: str, path: str) -> None:
    """A hostile program writes the path; while it is compared, the supervisor does nothing else."""
    assert not Rule.parse(f"deny a{pattern}").matches_path(path)


@pytest.mark.parametrize("method", ["DELETE", "delete", "Delete"])
def test_methods_match_in_any_case(method: str) -> None:
    """Some servers do not distinguish them."""
    assert Rule.parse("deny DELETE a").matches_method(method)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [("/admin", "/admin/"), ("/admin/", "/admin"), ("/admin/*", "/admin/x/"), ("/a", "/a/.")],
)
def test_a_slash_at_the_end_evades_no_rule(pattern: str, path: str) -> None:
    """To most servers both are one resource."""
    rule = Rule.parse(f"deny a.test{pattern}")
    assert rule.matches_path(understood(path).paths[0])
