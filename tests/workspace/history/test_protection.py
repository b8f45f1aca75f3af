"""Paths that the host obeys, in snapshots."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.spec import ProtectedPath
from moat.workspace.history.protection import Protection, is_as_at_start
from moat.workspace.known_paths import PROJECT
from moat.workspace.manifest import Content, Folder, Manifest, Status
from moat.workspace.path_rules import PathTable, rule_of

FILE, LINK, FOLDER = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755
NO_STATUS: Status = (0, 0, 0, 0, 0)
TABLE = PathTable((*PROJECT, rule_of(ProtectedPath("deploy/*.sh"))))


def protection(*manifests: Manifest) -> Protection:
    return Protection(TABLE, ["certs/company.pem", "tools/Hooks"], manifests)


@pytest.mark.parametrize(
    "path",
    [
        ".envrc",
        "deep/in/the/tree/.envrc",
        ".VSCODE/tasks.json",
        "sub/.vscode",
        ".git",
        ".git/config",
        "sub/.git/refs/heads/main",
        "x.code-workspace",
        "deploy/now.sh",
        "certs/company.pem",
        "certs",
        "Certs/company.pem",
        "tools/hooks/pre-commit",
        "bin/activate-hermit",
    ],
)
def test_what_the_host_obeys(path: str) -> None:
    """By the table, by rows of the user's, by name, and all of git's."""
    assert protection().obeys(path)


@pytest.mark.parametrize(
    "path", ["src/main.py", "deploy/readme", "envrc", "certs/other.pem", "a.git"]
)
def test_what_it_does_not(path: str) -> None:
    """An agent's everyday work comes back from every snapshot."""
    assert not protection().obeys(path)


@pytest.mark.parametrize("names", [("HEAD", "commondir"), ("head", "OBJECTS", "refs")])
def test_a_repository_of_which_a_part_lies_elsewhere(names: tuple[str, ...]) -> None:
    """A file says where; and upper and lower case may make no difference."""
    entries: dict[str, Status] = dict.fromkeys(names, NO_STATUS)
    made = Manifest(1, folders={"": Folder(NO_STATUS), "store": Folder(NO_STATUS, entries)})
    assert protection(made).obeys("store/config")


def test_a_repository_by_another_name() -> None:
    """A folder that git would take for a repository is one, whoever made it and when."""
    names: dict[str, Status] = dict.fromkeys(("objects", "refs", "HEAD"), NO_STATUS)
    bare = Manifest(1, folders={"": Folder(NO_STATUS), "store": Folder(NO_STATUS, names)})
    assert not protection(Manifest(1)).obeys("store/config")
    assert protection(Manifest(1), bare).obeys("store/config")
    assert not protection(bare).obeys("storehouse")


def manifest(
    status: Status | None, content: Content | None = None, target: str | None = None
) -> Manifest:
    """A manifest with one path, `a/x`."""
    folder = Folder(NO_STATUS)
    if status is not None:
        folder.entries["x"] = status
    if content is not None:
        folder.contents["x"] = content
    if target is not None:
        folder.targets["x"] = target
    return Manifest(1, folders={"a": folder})


ONE, TWO = (b"1" * 32, 0, 5), (b"2" * 32, -2, 0)


@pytest.mark.parametrize(
    ("there", "start", "same"),
    [
        (manifest((FILE, 1, 2, 3, 4)), manifest((FILE, 1, 2, 3, 4)), True),
        (manifest((FILE, 1, 9, 9, 9), (ONE[0], -2, 0)), manifest((FILE, 1, 2, 3, 4), ONE), True),
        (manifest((FILE, 1, 9, 9, 9), TWO), manifest((FILE, 1, 2, 3, 4), ONE), False),
        (manifest((FILE, 1, 9, 9, 9)), manifest((FILE, 1, 2, 3, 4)), False),
        (manifest((FILE | 0o111, 1, 9, 9, 9), ONE), manifest((FILE, 1, 2, 3, 4), ONE), False),
        (manifest((LINK, 1, 9, 9, 9), None, "t"), manifest((LINK, 1, 2, 3, 4), None, "t"), True),
        (manifest((LINK, 1, 9, 9, 9), None, "u"), manifest((LINK, 1, 2, 3, 4), None, "t"), False),
        (manifest((FOLDER, 1, 9, 9, 9)), manifest((FOLDER, 1, 2, 3, 4)), True),
        (manifest(None), manifest(None), True),
        (manifest(None), manifest((FILE, 1, 2, 3, 4)), False),
        (manifest((FILE, 1, 2, 3, 4)), manifest(None), False),
        (Manifest(1), Manifest(1), True),
    ],
)
def test_what_is_as_at_the_start(there: Manifest, start: Manifest, *, same: bool) -> None:
    """By content, permissions and target, not by times. What isn't known isn't the same."""
    assert is_as_at_start("a/x", there, start) is same


def test_what_changed_before_it_was_recorded() -> None:
    """Nobody knows what was there, so it is never taken for that."""
    there = manifest((FILE, 1, 2, 3, 4))
    start = manifest((FILE, 1, 2, 3, 4))
    start.late.append("a/x")
    assert not is_as_at_start("a/x", there, start)
    late_folder = manifest(None)
    late_folder.late.append("a")
    assert not is_as_at_start("a/x", manifest(None), late_folder)


names = st.text(st.sampled_from("aB.*-"), min_size=1, max_size=5)


@given(st.lists(names, min_size=1, max_size=4), st.data())
def test_a_rule_is_found_wherever_its_path_is(parts: list[str], data: st.DataObject) -> None:
    """At any depth, in any case, and what lies in it or above it."""
    table = PathTable([rule_of(ProtectedPath("/".join(parts)))])
    found = Protection(table, (), ())
    below = data.draw(st.lists(names, max_size=2))
    before = data.draw(st.lists(st.just("z"), max_size=2))
    cut = data.draw(st.integers(1, len(parts)))
    assert found.obeys("/".join((*before, *parts, *below)).swapcase())
    assert found.obeys("/".join((*before, *parts[:cut])))
