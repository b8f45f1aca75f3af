"""The changes that a restore undoes."""

from __future__ import annotations

import stat

from hypothesis import given
from hypothesis import strategies as st

from moat.workspace.changes import Change, Side
from moat.workspace.history.restore_plan import plan
from moat.workspace.manifest import Folder, Manifest

MODE = stat.S_IFREG | 0o644
NAMES = ("a", "b", ".envrc", ".envrc.local")
digests = st.sampled_from([None, *(bytes([each]) * 32 for each in range(3))])
states = st.fixed_dictionaries(dict.fromkeys(NAMES, digests))


def manifest(state: dict[str, bytes | None]) -> Manifest:
    """A folder of files with these contents."""
    present = {name: each for name, each in state.items() if each is not None}
    folder = Folder(
        (0, 0, 0, 0, 0),
        {name: (MODE, 1, 0, each[0], 0) for name, each in present.items()},
        {name: (each, -1, 0) for name, each in present.items()},
    )
    return Manifest(1, folders={"": folder})


def side(digest: bytes | None) -> Side | None:
    return None if digest is None else Side(MODE, 1, digest.hex())


@given(states, states, states)
def test_nothing_protected_comes_back_as_the_run_wrote_it(
    start: dict[str, bytes | None],
    wanted: dict[str, bytes | None],
    present: dict[str, bytes | None],
) -> None:
    """Every change is undone or named, and a protected path becomes nothing but what it was at first."""
    changes = [
        Change(name, side(wanted[name]), side(present[name]))
        for name in NAMES
        if wanted[name] != present[name]
    ]
    found = plan(
        changes,
        manifest(wanted),
        manifest(start),
        obeys=lambda path: path.startswith(".envrc"),
        is_meant=lambda change: change.path != "b",
    )
    undone = {change.path for change in found.undone}
    assert undone | set(found.protected) == {change.path for change in changes} - {"b"}
    assert undone.isdisjoint(found.protected)
    for path in undone:
        assert not path.startswith(".envrc") or wanted[path] == start[path]
    for path in found.protected:
        assert path.startswith(".envrc")
        assert wanted[path] != start[path]
