"""The notation for volumes, and how those of a file and of the command line are joined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config.fields import Field
from moat.config.volumes import FIELD, joined, nowhere, parse
from moat.errors import UsageError
from moat.spec import Volume


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cache:/cache", ("cache", "/cache", False)),
        ("a.b-c_1:/var/cache/x:ro", ("a.b-c_1", "/var/cache/x", True)),
        ("x:/y:rw", ("x", "/y", False)),
    ],
)
def test_a_volume_has_a_name_and_a_target(text: str, expected: tuple[str, str, bool]) -> None:
    """It can be written, unless it says otherwise."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", ":", "x:", ":/y", "x:y", "x:/y:", "x:/y:no", "x:/y:ro:ro", "../x:/y", "X:/y"),
        *(".x:/y", "x:/y/../z", "x:/y/", "x://y", "x:/", "x:ro:/y", "a/b:/y"),
        "project:/x",  # the name of a file beside the volumes
    ],
)
def test_anything_else_is_an_error(text: str) -> None:
    """A name can't lead anywhere, and a target is what it seems."""
    with pytest.raises(UsageError):
        parse(text)


@given(text=st.text(max_size=20))
def test_no_text_is_more_than_a_usage_error(text: str) -> None:
    """Whatever is given."""
    try:
        name, target, _ = parse(text)
    except UsageError:
        return
    assert "/" not in name
    assert target.startswith("/")


def place(name: str) -> str:
    return f"/store/{name}"


def test_the_command_line_comes_before_the_file() -> None:
    """At the same target; the others are added."""
    listed = [{"name": "a", "target": "/a"}, {"name": "b", "target": "/b", "readonly": True}]
    assert joined(listed, ["c:/a:ro", "a:/c"], place) == (
        Volume("c", "/a", "/store/c", "ro"),
        Volume("b", "/b", "/store/b", "ro"),
        Volume("a", "/c", "/store/a"),
    )
    assert joined((), (), place) == ()


def test_two_at_one_target_are_an_error() -> None:
    """One would hide the other."""
    with pytest.raises(UsageError, match="/a"):
        joined((), ["a:/a", "b:/a"], place)


def test_a_volume_in_a_file_needs_both() -> None:
    """A name and a target."""
    assert isinstance(FIELD, Field)
    assert FIELD.each is not None
    FIELD.each({"name": "a", "target": "/a"})
    with pytest.raises(ValueError, match="target"):
        FIELD.each({"name": "a"})
    with pytest.raises(ValueError, match="name"):
        FIELD.each({"target": "/a"})


def test_nobody_has_volumes_where_no_run_is_started() -> None:
    """A file can be checked without a store."""
    assert nowhere("/workspace", "cache") == ""
