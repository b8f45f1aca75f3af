"""The difference between two manifests, which makes one of the other."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.workspace.test_manifest import manifests

from moat.workspace.history.delta import applied, delta
from moat.workspace.manifest import Folder, Manifest


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Manifest, Manifest]:
    """A manifest and a later one, which has some of its folders."""
    first, other = draw(manifests()), draw(manifests())
    kept = {path: each for path, each in first.folders.items() if draw(st.booleans())}
    return first, replace(other, folders={**other.folders, **kept})


@given(pairs())
def test_a_difference_makes_the_later_manifest(pair: tuple[Manifest, Manifest]) -> None:
    """Whatever has come, gone or changed."""
    start, later = pair
    assert applied(start, delta(start, later)) == later


@given(manifests())
def test_nothing_is_kept_of_what_has_not_changed(manifest: Manifest) -> None:
    """So a snapshot of a large workspace is small."""
    found = delta(manifest, replace(manifest, taken_at=manifest.taken_at + 1))
    assert not found.changed.folders
    assert not found.gone


def test_parents_come_before_children() -> None:
    """Whoever walks the folders of a manifest relies on that."""
    empty = (0, 0, 0, 0, 0)
    start = Manifest(1, folders={"": Folder(empty), "a": Folder(empty), "a/b": Folder(empty)})
    later = Manifest(2, folders={**start.folders, "a/b": Folder((1, 0, 0, 0, 0))})
    later.folders |= {"c": Folder(empty), "c/d": Folder(empty)}
    assert list(applied(start, delta(start, later)).folders) == ["", "a", "a/b", "c", "c/d"]
