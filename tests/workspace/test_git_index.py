"""Git's index, as git itself writes and reads it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moat.workspace import git_index
from moat.workspace.git_index import BadIndexError, Index

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BLOB = {20: "9daeafb9864cf43055ae93beb0afd6c7d144bfa4", 32: "a" * 64}
FORMATS = {20: "sha1", 32: "sha256"}


class Repository:
    """A real repository."""

    def __init__(self, folder: Path, size: int = git_index.SHA1) -> None:
        self.folder = folder
        self.size = size
        subprocess.run(
            ["git", "init", "-q", f"--object-format={FORMATS[size]}", folder], check=True
        )

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        command = ["git", "-C", self.folder, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout

    @property
    def data(self) -> bytes:
        return (self.folder / ".git" / "index").read_bytes()

    def fill(self, paths: Iterable[bytes], version: int = 2) -> None:
        """Put paths into a new index, without files."""
        (self.folder / ".git" / "index").unlink(missing_ok=True)
        lines = [b"100644 %s 0\t%s\0" % (BLOB[self.size].encode(), path) for path in paths]
        self.git("update-index", "-z", "--index-info", stdin=b"".join(lines))
        self.git("update-index", "--index-version", str(version))

    def parsed(self) -> Index:
        return git_index.parse(self.data, self.size)

    def listed(self) -> list[tuple[str, str, bytes, bytes]]:
        """Return flag, mode, object and path of every entry, as git lists them."""
        listed: list[tuple[str, str, bytes, bytes]] = []
        for line in self.git("ls-files", "-v", "-s", "-z").split(b"\0")[:-1]:
            facts, _, path = line.partition(b"\t")
            tag, mode, name, _ = facts.decode().split()
            listed.append((tag, mode, bytes.fromhex(name), path))
        return listed


def as_listed(index: Index) -> list[tuple[str, str, bytes, bytes]]:
    tags = {None: "H", git_index.ASSUME_UNCHANGED: "h", git_index.SKIP_WORKTREE: "S"}
    return [
        (
            tags[entry.hidden_by] if entry.is_merged else "M",
            f"{entry.mode:06o}",
            entry.object_id,
            entry.path,
        )
        for entry in index.entries
    ]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("scratch"))


NAMES = st.lists(st.text("ab.é\x01", min_size=1, max_size=9), min_size=1, max_size=3)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=25,
)
@given(st.lists(NAMES, max_size=12), st.sampled_from([2, 3, 4]))
def test_every_index_of_git_is_read(
    scratch: Repository, names: list[list[str]], version: int
) -> None:
    """Whatever the names and the version, the entries are those that git lists."""
    paths = {"/".join(each).encode() for each in names if not {*each} & {".", ".."}}
    folders = {path[:i] for path in paths for i in range(len(path)) if path[i : i + 1] == b"/"}
    scratch.fill(sorted(paths - folders), version)
    assert as_listed(scratch.parsed()) == scratch.listed()


@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize("size", [20, 32])
def test_long_names_and_both_kinds_of_hashes(tmp_path: Path, size: int, version: int) -> None:
    """A name of more than 4,095 bytes has no length in its entry."""
    repository = Repository(tmp_path, size)
    long = b"/".join([b"x" * 200] * 30)
    repository.fill([b"a", b"b" * 255, long + b"1", long + b"22", b"z"], version)
    repository.git("update-index", "--assume-unchanged", "a")
    repository.git("update-index", "--skip-worktree", "z")
    index = repository.parsed()
    assert as_listed(index) == repository.listed()
    assert [entry.hidden_by for entry in index.entries if entry.hidden_by] == [
        git_index.ASSUME_UNCHANGED,
        git_index.SKIP_WORKTREE,
    ]


def test_conflicts_are_known(repository: Repository) -> None:
    """Each side of a conflict is an entry of its own."""
    lines = b"".join(b"100644 %s %d\tx\0" % (BLOB[20].encode(), stage) for stage in (1, 2, 3))
    repository.git("update-index", "-z", "--index-info", stdin=lines)
    assert [entry.is_merged for entry in repository.parsed().entries] == [False] * 3


@pytest.mark.parametrize("version", [2, 3, 4])
def test_git_reads_what_was_written_without_caches(repository: Repository, version: int) -> None:
    """Flags and caches are gone, entries stay, and the checksum is right."""
    for name in ("a", "b", "c"):
        (repository.folder / name).write_text(name)
    repository.git("add", ".")
    repository.git("update-index", "--index-version", str(version))
    repository.git("update-index", "--untracked-cache", "--assume-unchanged", "a")
    repository.git("update-index", "--skip-worktree", "b")
    repository.git("write-tree")
    repository.git("status")
    index = repository.parsed()
    assert {name for name, _, _ in index.extensions} >= {b"TREE", b"UNTR"}
    shown = [entry for entry in index.entries if entry.hidden_by]
    stale = [entry for entry in index.entries if entry.path == b"c"]
    made = git_index.without_caches(index, shown, stale)
    (repository.folder / ".git" / "index").write_bytes(made)
    repository.git("fsck")
    assert {tag for tag, _, _, _ in repository.listed()} == {"H"}
    assert repository.parsed().extensions == []
    assert repository.parsed().entries[2].changed_at == 0
    assert repository.git("diff-files") != b""
    repository.git("update-index", "--refresh")
    assert repository.git("diff-files") == b""


@given(st.binary(max_size=200), st.sampled_from([2, 3, 4]), st.integers(0, 3))
def test_nothing_else_is_raised(rest: bytes, version: int, count: int) -> None:
    """A hostile index is one that can't be read, and no error of ours."""
    data = b"DIRC" + version.to_bytes(4, "big") + count.to_bytes(4, "big") + rest
    try:
        git_index.parse(data, git_index.SHA1)
    except BadIndexError:
        return


@pytest.mark.parametrize("data", [b"", b"DIRC", b"x" * 40, b"DIRC\0\0\0\x09\0\0\0\0" + bytes(20)])
def test_what_is_no_index_is_refused(data: bytes) -> None:
    """So is one of a version that git may invent."""
    with pytest.raises(BadIndexError):
        git_index.parse(data, git_index.SHA1)


def test_a_file_has_the_name_that_git_gives_it(repository: Repository) -> None:
    """The content alone decides."""
    name = repository.git("hash-object", "--stdin", stdin=b"hello\n").strip()
    assert git_index.blob_id(b"hello\n", git_index.SHA1).hex().encode() == name
    assert len(git_index.blob_id(b"", git_index.SHA256)) == git_index.SHA256
