"""A split index of git's, joined into what git itself makes of it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.workspace.test_git_index import Repository, as_listed

from moat.workspace import git_index, git_split_index
from moat.workspace.git_index import BadIndexError, Index

if TYPE_CHECKING:
    from pathlib import Path

SHA1 = git_index.SHA1


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("scratch"))


def joined(repository: Repository) -> Index:
    """Return the index of a repository, which is split, as a whole one."""
    index = repository.parsed()
    name = git_split_index.shared_name(index)
    assert name is not None
    shared = git_index.parse((repository.folder / ".git" / name).read_bytes(), repository.size)
    return git_index.parse(git_split_index.join(index, shared), repository.size)


CHANGES = st.lists(
    st.tuples(st.sampled_from(["remove", "skip", "add"]), st.integers(0, 199)), max_size=12
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=25,
)
@given(st.integers(1, 150), CHANGES, st.sampled_from([2, 4]))
def test_every_split_index_of_git_is_joined(
    scratch: Repository, count: int, changes: list[tuple[str, int]], version: int
) -> None:
    """Whatever was removed, replaced and added after the split, the entries are those that git lists."""
    (scratch.folder / ".git/index").unlink(missing_ok=True)
    scratch.fill([b"f%03d" % each for each in range(count)], version)
    scratch.git("-c", "splitIndex.maxPercentChange=100", "update-index", "--split-index")
    for change, place in changes:
        split = ["-c", "splitIndex.maxPercentChange=100", "update-index"]
        name = f"f{place:03d}"
        has = name.encode() in scratch.git("ls-files").split()
        if change == "remove":
            scratch.git(*split, "--force-remove", name)
        elif change == "add" or not has:
            line = f"100644 {'b' * 40} 0\t{name}x\n".encode()
            scratch.git(*split, "--index-info", stdin=line)
        else:
            scratch.git(*split, "--skip-worktree", name)
    assert as_listed(joined(scratch)) == scratch.listed()


@pytest.mark.parametrize("size", [20, 32])
def test_git_takes_the_whole_for_the_parts(tmp_path: Path, size: int) -> None:
    """Git reads the joined index, and lists the same."""
    repository = Repository(tmp_path, size)
    repository.fill([b"a", b"x" * 5000, b"z"])
    repository.git("update-index", "--split-index")
    repository.git("update-index", "--skip-worktree", "a")
    listed = repository.listed()
    (tmp_path / ".git/index").write_bytes(joined(repository).data)
    assert not repository.parsed().is_split
    assert repository.listed() == listed


def test_an_index_that_shares_nothing_names_no_file(repository: Repository) -> None:
    """It has all its entries itself."""
    repository.fill([b"a"])
    assert git_split_index.shared_name(repository.parsed()) is None
    data = repository.data[:-SHA1] + b"link" + struct.pack(">I", SHA1) + bytes(SHA1) + bytes(SHA1)
    assert git_split_index.shared_name(git_index.parse(data, SHA1)) is None


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def bitmap(*words: int) -> bytes:
    return struct.pack(f">II{len(words)}QI", 64, len(words), *words, 0)


def one(*bits: int) -> bytes:
    return bitmap(1 << 33, sum(1 << bit for bit in bits))


NONE = bitmap()
REFUSED = {
    "too short": b"\0\0",
    "no end": struct.pack(">II", 64, 9),
    "more than there is": one(1) + NONE,
    "a bitmap has more": bitmap(1 | 0xFFFFFFFF << 1) + NONE,
    "a bitmap is too short": bitmap(5 << 33) + NONE,
    "more entries than it has": NONE + one(0),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_git_would_not_read_is_refused(repository: Repository, why: str) -> None:
    """A hostile index costs no more than it has bytes."""
    repository.fill([b"a"])
    shared = repository.parsed()
    with pytest.raises(BadIndexError, match=why):
        git_split_index.join(split(REFUSED[why]), shared)


def split(bitmaps: bytes, *entries: tuple[Index, int]) -> Index:
    """Return an index with bitmaps, and with entries of others."""
    chosen = [(index, index.entries[place]) for index, place in entries]
    data = git_index.render(chosen, SHA1)[:-SHA1]
    link = bytes([1] * SHA1) + bitmaps
    data += b"link" + struct.pack(">I", len(link)) + link + bytes(SHA1)
    return git_index.parse(data, SHA1)


def test_entries_with_the_wrong_names_are_refused(repository: Repository) -> None:
    """An entry that replaces another has no name, and one that is new has one; a folder is no file."""
    repository.fill([b"a"])
    shared = repository.parsed()
    with pytest.raises(BadIndexError, match="has a name"):
        git_split_index.join(split(NONE + one(0), (shared, 0)), shared)
    nameless = Index(shared.data, SHA1, [shared.entries[0]._replace(path=b"")], [])
    with pytest.raises(BadIndexError, match="no name"):
        git_split_index.join(split(NONE + NONE, (nameless, 0)), shared)
    folder = Index(shared.data, SHA1, [shared.entries[0]._replace(mode=0o040000)], [])
    with pytest.raises(BadIndexError, match="leaves folders out"):
        git_split_index.join(split(NONE + NONE), folder)


def test_a_name_that_is_too_short_is_refused() -> None:
    """The name of the shared part is a hash."""
    index = Index(b"link" + struct.pack(">I", 3) + bytes(3), SHA1, [], [(b"link", 0, 11)])
    with pytest.raises(BadIndexError, match="name of its shared part"):
        git_split_index.shared_name(index)
