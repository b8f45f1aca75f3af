"""Manifests, and how they are saved."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.workspace.manifest import Folder, Manifest, dumps, is_folder, join, loads, trusted

names = st.text(st.sampled_from("aZ.\u00e4\u2028 \n\udc80"), min_size=1, max_size=4)
numbers = st.integers(-(2**63), 2**63 - 1)
statuses = st.tuples(
    st.sampled_from([stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFREG]),
    st.integers(0, 2**63 - 1),
    numbers,
    numbers,
    st.integers(0, 2**64 - 1),
)
folder_statuses = statuses.map(lambda each: (stat.S_IFDIR | 0o755, *each[1:]))
contents = st.tuples(
    st.integers(1, 255).map(lambda each: bytes([each] * 32)),
    st.integers(-1, 2**60),
    st.integers(0, 2**31),
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    manifest = Manifest(draw(st.integers(0, 2**62)), "/root", draw(st.lists(names)))
    manifest.complete = draw(st.booleans())
    manifest.pack = "contents-1"
    ahead = [("", draw(folder_statuses))]
    while ahead and len(manifest.folders) < 4:
        path, status = ahead.pop()
        below = draw(st.dictionaries(names, folder_statuses, max_size=3))
        files = draw(st.dictionaries(names, statuses, max_size=3))
        folder = Folder(status, below | {name: files[name] for name in files if name not in below})
        for name, each in folder.entries.items():
            if stat.S_ISREG(each[0]) and draw(st.booleans()):
                folder.contents[name] = draw(contents)
            if stat.S_ISLNK(each[0]):
                folder.targets[name] = draw(names)
        manifest.folders[path] = folder
        ahead += [(join(path, name), each) for name, each in below.items()]
    return manifest


@given(manifests())
def test_a_manifest_is_what_was_saved(manifest: Manifest) -> None:
    """Names that aren't UTF-8 and times before 1970 included."""
    assert loads(dumps(manifest)) == manifest


@given(manifests(), st.data())
def test_a_damaged_manifest_is_recognised(manifest: Manifest, data: st.DataObject) -> None:
    """A file that was cut off is not a manifest of less."""
    saved = dumps(manifest)
    with pytest.raises(ValueError, match="manifest"):
        loads(saved[: data.draw(st.integers(0, len(saved) - 1))])


def test_a_fresh_change_is_not_settled() -> None:
    """A file that changed in the tick of the manifest may change again without a trace."""
    second = 1_000_000_000
    manifest = Manifest(taken_at=100 * second)
    assert manifest.settled((0, 0, 0, 99 * second + 1, 0))
    assert not manifest.settled((0, 0, 0, 100 * second - 1, 0))
    assert not manifest.settled((0, 0, 0, 99 * second, 0)), "a file system that counts in seconds"
    assert manifest.settled((0, 0, 0, 97 * second, 0))


def test_what_later_looks_may_rely_on() -> None:
    """No content that may be older than it seems: of a fresh change, or of one before the recording."""
    second = 1_000_000_000
    status = (stat.S_IFREG, 1, 0, 90 * second + 1, 7)
    fresh = (stat.S_IFREG, 1, 0, 100 * second - 1, 7)
    content = (b"x" * 32, 0, 1)
    entries = {"old": status, "fresh": fresh, "late": status}
    folder = Folder((stat.S_IFDIR, 1, 2, 3, 4), entries, dict.fromkeys(entries, content))
    found = trusted(Manifest(100 * second, folders={"": folder}, late=["", "late"]))
    assert found.late == []
    assert found.folders[""].contents == {"old": content}
    assert found.folders[""].entries == entries
    assert found.folders[""].status == (0, 0, 0, 0, 0)


def test_the_kinds_of_entries() -> None:
    """A folder is told by its mode."""
    assert is_folder((stat.S_IFDIR, 0, 0, 0, 0))
    assert not is_folder((stat.S_IFLNK, 0, 0, 0, 0))
