"""What would hide a run's work from the user's git, or show another history, and is undone or said."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.workspace.host import GIT

from moat.workspace import git_index

if TYPE_CHECKING:
    from pathlib import Path

    from tests.workspace.host import Host

HIDES = {"assume-unchanged": "--assume-unchanged", "skip-worktree": "--skip-worktree"}

# Programs for the sandbox, which change the index after git has written it.
FORGED = {
    # The index has the times of the changed file, but the content of the old one.
    "times": "replace(FILE_NOW, FILE_THEN)",
    # The changed file is in the index, and the cache of trees says that its folder is as it was.
    "trees": "replace(TOP_NOW, TOP_THEN); replace(SUB_NOW, SUB_THEN)",
}


def status(host: Host) -> str:
    command = ["git", "-C", host.root, "status", "--porcelain"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("flag", HIDES)
def test_flags_that_hide_changes_are_taken_off(host: Host, flag: str) -> None:
    """The user sees the change, and is told in one line; flags of the user's own stay."""
    host.prepare(
        "echo x | tee a b c >d; git add .; GIT commit -qm y; git update-index " + f"{HIDES[flag]} d"
    )
    lines = host.attacked(f"echo evil | tee a b d >c; git update-index {HIDES[flag]} a b")
    assert lines == [f"{host.root}: taken off: a ({flag}), b ({flag})"]
    assert status(host) == " M a\n M b\n M c\n"


def forged(way: str) -> str:
    return f"""
        then=$(git rev-parse HEAD:sub/file HEAD^{{tree}} HEAD:sub | xargs)
        echo evil > sub/file; touch -d 2020-01-01 sub/file; git add sub
        top=$(git write-tree); now=$(git rev-parse $top:sub/file $top $top:sub | xargs)
        python3 -c "
import hashlib
FILE_THEN, TOP_THEN, SUB_THEN = map(bytes.fromhex, '$then'.split())
FILE_NOW, TOP_NOW, SUB_NOW = map(bytes.fromhex, '$now'.split())
data = open('.git/index', 'rb').read()[:-20]
def replace(now, then):
    global data
    data = data.replace(now, then)
{FORGED[way]}
open('.git/index', 'wb').write(data + hashlib.sha1(data).digest())"
        test -z "$(git status --porcelain)"; test -z "$(git diff HEAD)"
    """


@pytest.mark.parametrize("way", FORGED)
@pytest.mark.parametrize("lock", ["", "touch .git/index.lock"])
def test_an_index_that_lies_hides_nothing(host: Host, way: str, lock: str) -> None:
    """In the sandbox, git takes the changed file for the old one. On the host it doesn't."""
    host.prepare("mkdir sub; echo x > sub/file; git add .; GIT commit -qm y")
    assert host.attacked(f"{forged(way)}{lock}") == []
    assert status(host) == {"times": " M sub/file\n", "trees": "M  sub/file\n"}[way]


def test_an_honest_index_stays_as_it_is(host: Host) -> None:
    """A run that commits and stages leaves an index that git needn't make anew, but for its caches."""
    host.prepare("seq 100 | split -l 1; git add .; GIT commit -qm y")
    lines = host.attacked(
        f"echo x > xaa; git add xaa; {GIT} commit -qm z; echo y > xab; git add xab"
    )
    assert lines == []
    index = git_index.parse((host.root / ".git/index").read_bytes(), git_index.SHA1)
    assert all(entry.changed_at for entry in index.entries)
    assert index.extensions == []
    assert status(host) == "M  xab\n"
    host.prepare("git fsck")


def test_an_index_that_nobody_wrote_is_not_touched(host: Host) -> None:
    """Its caches are the user's own."""
    host.prepare("git write-tree; git update-index --assume-unchanged file")
    before = (host.root / ".git/index").read_bytes()
    assert host.attacked("echo evil > file") == []
    assert (host.root / ".git/index").read_bytes() == before


def test_files_of_a_nested_repository_are_shown(host: Host) -> None:
    """Repositories in the workspace have indexes too; the line has the path in the workspace."""
    host.prepare("GIT init -q lib; touch lib/x; git -C lib add x; GIT -C lib commit -qm y")
    lines = host.attacked("cd lib; echo evil > x; git update-index --assume-unchanged x")
    assert lines == [f"{host.root}: taken off: lib/x (assume-unchanged)"]


# Programs that change an index which git has written, or its shared part.
WRITE = """
python3 -c "
import glob, hashlib, os
NAME = (glob.glob('.git/sharedindex.*') or ['.git/index'])[0]
data = bytearray(open(NAME, 'rb').read()[:-20])
at = data.index(b'file')
{}
os.chmod(NAME, 0o600)
open(NAME, 'wb').write(data + hashlib.sha1(data).digest())"
"""
UNREADABLE = {
    "not a file": "rm .git/index; mkdir .git/index",
    "no index": "head -c 100 /dev/zero > .git/index",
    "too large": "truncate -s 65M .git/index",
    "shared part is missing": "git update-index --split-index; rm .git/sharedindex.*",
    "leaves folders out": "git update-index --refresh;"
    " printf '/*\\n!/*/\\n' > .git/info/sparse-checkout;"
    " git -c core.sparseCheckout=1 -c core.sparseCheckoutCone=1 -c index.sparse=1 read-tree -mu HEAD;"
    " rm .git/info/sparse-checkout; mkdir sub; echo evil > sub/file",
    # Git would go on behind the length that is said, and so read other entries.
    "another length": WRITE.format("data[at - 1] -= 2"),
    # Git would take the last bytes for the extension that says where its threads are to read.
    "git knows no extension": WRITE.format(
        "data += b'sdir' + (8).to_bytes(4, 'big') + b'EOIE' * 2"
    ),
}


@pytest.mark.parametrize("why", UNREADABLE)
def test_an_index_that_can_not_be_read_gives_way_to_the_one_before(host: Host, why: str) -> None:
    """What hides in it is put aside with it, and git shows the change."""
    host.prepare("mkdir sub; echo x > sub/file; git add .; GIT commit -qm y")
    (line,) = host.attacked(f"{UNREADABLE[why]}\necho evil > sub/file")
    assert line.startswith(f"{host.root}/.git/index: renamed to index.disarmed, and put back (")
    assert why in line
    assert status(host) == " M sub/file\n"


SPLIT = {
    "own": "git update-index --assume-unchanged sub/file",
    "new": "git update-index --split-index --assume-unchanged sub/file",
    "shared": WRITE.format("data[data.index(b'sub/file') - 2] |= 0x80"),
}


@pytest.mark.parametrize("part", SPLIT)
def test_an_index_in_two_parts_hides_nothing(host: Host, part: str) -> None:
    """A flag counts in the index itself and in the shared part, which git reads unseen."""
    split = "true" if part == "new" else "git update-index --split-index"
    touch = "touch -d 2020-01-01 file sub/file; git update-index -q --refresh"
    host.prepare(f"mkdir sub; echo x > sub/file; git add .; GIT commit -qm y; {touch}; {split}")
    lines = host.attacked(
        f"{SPLIT[part]}\necho evil > sub/file;"
        ' test -z "$(GIT_OPTIONAL_LOCKS=0 git status --porcelain sub)"'
    )
    assert lines == [f"{host.root}: taken off: sub/file (assume-unchanged)"]
    assert status(host) == " M sub/file\n"


def test_what_was_staged_in_a_split_index_stays(host: Host) -> None:
    """The user's configuration may ask for such an index; git goes on with a whole one."""
    host.prepare(
        "git config core.splitIndex true; seq 100 | split -l 1; git add .; GIT commit -qm y"
    )
    lines = host.attacked(
        f"echo x > xaa; rm xab; echo > new; git add -A; {GIT} commit -qm z; echo y > xac; git add xac"
    )
    assert lines == []
    assert status(host) == "M  xac\n"
    host.is_safe("git fsck", "GIT commit -qm w", 'test -z "$(git status --porcelain)"')


@pytest.mark.parametrize("kind", ["sha256", "worktree of sha256"])
def test_an_index_of_the_other_kind_of_hashes_is_read(host: Host, kind: str) -> None:
    """A linked worktree has the kind from the repository that it belongs to."""
    folder = "lib" if kind == "sha256" else "tree"
    host.prepare(
        "GIT init -q --object-format=sha256 lib; touch lib/x; git -C lib add x;"
        " GIT -C lib commit -qm y; GIT -C lib worktree add -q ../tree"
    )
    git = "git" if folder == "lib" else "git --git-dir=../lib/.git/worktrees/tree --work-tree=."
    lines = host.attacked(f"cd {folder}; echo evil > x; {git} update-index --assume-unchanged x")
    assert lines == [f"{host.root}: taken off: {folder}/x (assume-unchanged)"]


def test_an_index_elsewhere_is_put_aside(host: Host, tmp_path: Path) -> None:
    """Git would follow the link, and write the file that it leads to."""
    lines = host.attacked(f"mv .git/index kept; ln -s {tmp_path}/victim .git/index")
    assert lines == [f"{host.root}/.git/index: renamed to index.disarmed"]


@pytest.mark.parametrize("packed", ["", "; git pack-refs --all"])
def test_objects_that_stand_for_others_are_named(host: Host, packed: str) -> None:
    """`git replace` shows another content in every command of git's."""
    host.prepare(
        "GIT commit -q --allow-empty -m other; git replace HEAD~ HEAD; git config user.email x@y"
    )
    lines = host.attacked(
        f"git rev-parse HEAD > name; git replace HEAD $(git commit-tree -m x HEAD^{{tree}}){packed}"
    )
    name = (host.root / "name").read_text().strip()
    said = f".git/refs/replace/{name} (git shows another object: git replace -d {name})"
    assert lines == [f"{host.root}: new or changed, and obeyed unasked: {said}"]


@pytest.mark.parametrize("path", ["objects/info/alternates", "info/grafts", "info/sparse-checkout"])
def test_files_that_show_another_repository_go_aside(host: Host, path: str) -> None:
    """Objects from elsewhere, another history, fewer files; what the user had is read-only."""
    host.prepare("GIT init -q nested; mkdir -p nested/.git/info")
    (host.root / f"nested/.git/{path}").write_text("")
    assert "Read-only" in host.sandbox.run("bash", "-c", f"echo > nested/.git/{path}").stderr
    lines = host.attacked(f"echo x > .git/{path}")
    assert lines == [f"{host.root}/.git/{path}: renamed to {path.rpartition('/')[2]}.disarmed"]


@pytest.mark.parametrize(
    "path", ["shallow", "rebase-merge/git-rebase-todo", "sequencer/opts", "remotes/origin"]
)
def test_what_git_obeys_later_is_named(host: Host, path: str) -> None:
    """To write these is the work of git itself, so they stay."""
    lines = host.attacked(f"mkdir -p $(dirname .git/{path}); git rev-parse HEAD > .git/{path}")
    name = path.partition("/")[0]
    assert lines == [f"{host.root}: new or changed, and obeyed unasked: .git/{name} (git)"]


WRITTEN = {
    "logs/HEAD": "GIT commit -q --allow-empty -m y",
    "logs/refs/heads/main": "GIT commit -q --allow-empty -m y",
    "COMMIT_EDITMSG": "GIT commit -q --allow-empty -m y",
    "FETCH_HEAD": "git fetch -q . main",
    "ORIG_HEAD": "git reset -q --hard",
}


@pytest.mark.parametrize("path", WRITTEN)
@pytest.mark.parametrize("exists", [True, False])
def test_git_writes_to_no_file_that_a_link_leads_to(
    host: Host, tmp_path: Path, path: str, exists: bool
) -> None:
    """Git appends to its logs and writes its messages, wherever a link in its folder leads."""
    victim = tmp_path / "bashrc"
    if exists:
        victim.write_text("mine\n")
    lines = host.attacked(f"rm -f .git/{path}; ln -s {victim} .git/{path}")
    assert len(lines) == 1
    host.is_safe(WRITTEN[path])
    assert victim.exists() == exists
    assert not exists or victim.read_text() == "mine\n"


@pytest.mark.parametrize("name", ["objects", "refs", "logs", "modules"])
def test_no_folder_of_git_leads_elsewhere(host: Host, tmp_path: Path, name: str) -> None:
    """`git gc` would remove what the other repository needs."""
    lines = host.attacked(
        f"mkdir -p .git/{name}; mv .git/{name} kept; ln -s {tmp_path} .git/{name}"
    )
    assert f"{host.root}/.git/{name}: renamed to {name}.disarmed" in lines


def test_links_of_the_users_own_stay(host: Host) -> None:
    """Some tools share git's folders by links."""
    host.prepare("mkdir elsewhere; mv .git/logs elsewhere; ln -s ../elsewhere/logs .git/logs")
    assert host.attacked("true") == []
    assert (host.root / ".git/logs").is_symlink()
