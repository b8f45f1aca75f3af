"""The notation for mounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config.mounts import check_own_mount, split_mount
from moat.errors import UsageError
from moat.spec import Mount


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("a:/b", Mount("a", "/b", "rw")),
        ("/a/b:/c:ro", Mount("/a/b", "/c", "ro")),
        ("~/a:/c:rw", Mount("~/a", "/c", "rw")),
    ],
)
def test_a_mount_has_source_target_and_mode(text: str, mount: Mount) -> None:
    """Without a mode it is read-write."""
    assert split_mount(text) == mount


@pytest.mark.parametrize("text", ["", "a", ":/b", "a:", "a:b", "a:/b:rx", "a:/b:", "a:/b:ro:x"])
def test_what_is_no_mount_is_refused(text: str) -> None:
    """The hint shows how to write one."""
    with pytest.raises(UsageError):
        split_mount(text)


@given(st.text(st.sampled_from("a/:ro~.")))
def test_any_text_is_a_mount_or_refused(text: str) -> None:
    """A valid mount has all its parts."""
    try:
        mount = split_mount(text)
    except UsageError:
        return
    assert mount.source
    assert mount.target.startswith("/")


def test_a_mount_of_the_settings_has_an_absolute_source() -> None:
    """Settings hold in any folder, so a relative source would be another one each time."""
    check_own_mount("~/cache:/cache")
    with pytest.raises(UsageError, match="relative source"):
        check_own_mount("cache:/cache")
