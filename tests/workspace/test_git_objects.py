"""Objects of a repository that aren't what their names say, as a run may leave them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.workspace.host import Host

# Puts another object's content into the file of an object: FORGE TAKEN GIVEN.
FORGE = """
forge() { python3 -c "
import os, sys
taken, given = (f'.git/objects/{name[:2]}/{name[2:]}' for name in sys.argv[1:])
data = open(given, 'rb').read()
os.chmod(taken, 0o600)
open(taken, 'wb').write(data)" "$1" "$2"; }
"""
FORGED_TREE = f"""{FORGE}
tree=$(git rev-parse HEAD^{{tree}}); echo evil > file; git add file
forge $tree $(git write-tree)
test -z "$(git status --porcelain)"; test -z "$(git diff HEAD)"
"""
SAID = "renamed to {}.disarmed (its content is another)"


def git(host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", host.root, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def name_of(host: Host, revision: str) -> str:
    """Return the path of a loose object in the git folder."""
    name = git(host, "rev-parse", revision).stdout.strip()
    return f"objects/{name[:2]}/{name[2:]}"


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_a_forged_tree_hides_nothing(host: Host, kind: str) -> None:
    """In the sandbox, git shows no difference. On the host it has one, or says what is missing."""
    if kind == "sha256":
        host.prepare(
            "rm -rf .git; GIT init -q --object-format=sha256; git add file; GIT commit -qm y"
        )
    path = name_of(host, "HEAD^{tree}")
    lines = host.attacked(FORGED_TREE)
    assert lines == [f"{host.root}/.git/{path}: {SAID.format(path.rpartition('/')[2])}"]
    assert git(host, "status").returncode != 0
    host.prepare(f"mv .git/{path}.disarmed .git/{path}")
    assert git(host, "fsck").returncode != 0


def test_what_is_in_a_pack_as_well_is_what_it_was(host: Host) -> None:
    """Git goes on with the object of before."""
    host.prepare("git repack -q; git commit-graph write")
    (line,) = host.attacked(FORGED_TREE.replace("test -z", "true"))
    assert SAID.format("")[:9] in line
    assert git(host, "status", "--porcelain").stdout == "M  file\n"


def test_what_a_run_commits_is_believed(host: Host) -> None:
    """Objects of every kind, large and empty ones among them."""
    lines = host.attacked(
        "mkdir sub; head -c 3000000 /dev/urandom > sub/large; touch empty; git add -A;"
        " GIT commit -qm y; GIT tag -a -m z z".replace("GIT", "git -c user.name=a -c user.email=b")
    )
    assert lines == []
    host.is_safe("git fsck --strict", 'test -z "$(git status --porcelain)"')


@pytest.mark.parametrize("way", ["git repack -qad", "touch .git/objects/pack/*.idx"])
def test_packs_are_named_if_they_are_new(host: Host, way: str) -> None:
    """To check a pack takes git itself."""
    host.prepare("git repack -q")
    said = ".git/objects/pack (not checked: git fsck)"
    assert host.attacked(way) == [f"{host.root}: new or changed, and obeyed unasked: {said}"]


@pytest.mark.parametrize("option", ["", "--split"])
def test_an_index_of_commits_goes_aside(host: Host, option: str) -> None:
    """Git would take the trees of commits from it, without a look at the commits."""
    lines = host.attacked(f"git commit-graph write --reachable {option}")
    name = "commit-graphs" if option else "commit-graph"
    (line,) = lines
    assert line.startswith(f"{host.root}/.git/objects/info/{name}: renamed to {name}.disarmed")
    host.is_safe("git log")


def test_an_index_of_commits_of_the_users_own_stays(host: Host) -> None:
    """It is as it was."""
    host.prepare("git commit-graph write --reachable --split")
    assert host.attacked("true") == []


UNKNOWN = {
    "cut short": "truncate -s 5 $object",
    "not compressed": "echo x > $object",
    "a pipe": "rm $object; mkfifo $object",
    "a folder": "rm $object; mkdir $object",
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_no_hash_can_be_made_of_is_named(host: Host, what: str) -> None:
    """Git can't read it either."""
    path = name_of(host, "HEAD:file")
    lines = host.attacked(f"object=.git/{path}; chmod 600 $object; {UNKNOWN[what]}")
    (line,) = lines
    assert ".git/objects (not checked: git fsck)" in line


@pytest.mark.parametrize(("bound", "most"), [("_MAX_OBJECTS", 3), ("_MAX_BYTES", 3_000)])
def test_what_is_beyond_the_bounds_is_named(
    host: Host, bound: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run can write any number of objects, and such as unpack to any size."""
    monkeypatch.setattr(f"moat.workspace.git_objects.{bound}", most)
    lines = host.attacked(
        "for i in 1 2 3 4; do head -c 2000 /dev/zero > $i; echo $i >> $i; done; git add ."
    )
    assert lines == [
        f"{host.root}: new or changed, and obeyed unasked: .git/objects (not checked: git fsck)"
    ]
