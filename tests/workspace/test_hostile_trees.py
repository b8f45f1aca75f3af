"""Trees that a hostile run leaves, which cost that run and never the next one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from moat.config import agent_file
from moat.workspace import protected_paths
from moat.workspace.protected_paths import find_protected_paths

if TYPE_CHECKING:
    from tests.workspace.host import Host

STOPPERS = {
    f"{kind} called {name}": f"rm -rf {name}; {make.format(name)}"
    for kind, make in {
        "a link": "ln -s file {}",
        "a link to nothing": "ln -s /nowhere {}",
        "a link to itself": "ln -s {0} {0}",
        "a folder": "mkdir {}",
        "a pipe": "mkfifo {}",
        "a file nobody may read": "touch {0}; chmod 000 {0}",
        "a folder nobody may list": "mkdir {0}; chmod 000 {0}",
    }.items()
    for name in ("agent.yaml", ".envrc", "lib/.git", ".zed")
}


@pytest.mark.parametrize("tree", STOPPERS)
def test_no_kind_of_file_stops_the_next_run(host: Host, tree: str) -> None:
    """Where a program expects a file or a folder, there is something else."""
    host.attacked(f"mkdir lib; {STOPPERS[tree]}")
    assert next_run(host) == "ran"


GIT_STOPPERS = {
    "a link to a checked folder": "git init -q lib; ln -s lib/.git .git",
    "a file that leads to itself": "echo 'gitdir: .git' > .git",
    "files that lead to each other": """
        mkdir a; echo 'gitdir: a/.git' > .git; echo 'gitdir: ../.git' > a/.git""",
    "a file that leads nowhere": "echo 'gitdir: x' > .git",
    "a file that leads upwards": "echo 'gitdir: ..' > .git",
    "a file that leads to the root": "echo 'gitdir: /' > .git",
    "a file that is a folder": "mkdir -p .git/HEAD .git/config .git/objects .git/refs",
    "links in a new folder": """
        git init -q; cd .git; rm -r hooks config info; ln -s /etc hooks; ln -s /etc/passwd config
        ln -s /etc info; ln -s /etc commondir""",
    "no hooks, and no right to make them": "git init -q; rm -r .git/hooks; chmod 555 .git",
    "no right to read": "git init -q; cd .git; chmod 000 config hooks HEAD; chmod 000 .",
    "a loop of common folders": "git init -q; echo . > .git/commondir",
}


@pytest.mark.parametrize("tree", GIT_STOPPERS)
def test_no_git_folder_stops_the_next_run(host: Host, tree: str) -> None:
    """Where there was no repository, the run makes one that is none."""
    host.prepare("rm -rf .git")
    host.attacked(GIT_STOPPERS[tree])
    assert next_run(host) == "ran"


OLD_STOPPERS = {
    "a link on the way": "rm -rf .git/logs; ln -s x .git/logs",
    "no right to read": "chmod -R 000 .git",
    "logs by a link": "mv .git/logs .git/l; ln -s l .git/logs",
    "worktrees by a link": "ln -s / .git/worktrees",
    "modules by a link": "ln -s .. .git/modules",
    "worktrees that are files": "mkdir .git/worktrees; touch .git/worktrees/a",
    "a deep module": "d=.git/modules/$(seq -s/ 300); mkdir -p $d; touch $d/HEAD",
    "an index of its own": "head -c 9999 /dev/urandom > .git/index",
    "an index that is a folder": "rm .git/index; mkdir .git/index",
}


@pytest.mark.parametrize("tree", OLD_STOPPERS)
def test_no_change_of_a_git_folder_stops_the_next_run(host: Host, tree: str) -> None:
    """The repository was there before."""
    host.attacked(f"{OLD_STOPPERS[tree]} || true")
    assert next_run(host) == "ran"


NAMES = [
    "a\nb",
    "\x1b]0;x\x07",
    "\x80",
    " ",
    "-rf",
    "'",
    '"; touch x; "',
    "%s{}",
    "é" * 100,
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_odd_names_are_names(host: Host, name: str) -> None:
    """Folders with them are looked at like others, and the next run protects what is in them."""
    folder = host.root / name
    host.attacked("true")
    folder.mkdir()
    (folder / ".envrc").write_text("ours")
    done = host.sandbox.run("sh", "-c", 'echo theirs > "$1/.envrc"', "sh", name)
    assert "Read-only" in done.stderr
    assert (folder / ".envrc").read_text() == "ours"


MANY = {
    "gitfiles": """python3 -c "
import pathlib
for i in range(10000):
    path = pathlib.Path(str(i), '.git'); path.parent.mkdir(); path.write_text('gitdir: ../x')
" """,
    "names": "for i in $(seq 1200); do mkdir -p $i/.vscode/x; done",
    "files in a name": "mkdir .vscode; cd .vscode; seq 20000 | split -l 1 -a 4",
    "depth": "for i in $(seq 60); do d=$i/$(seq -s/ 90); mkdir -p $d; touch $d/.envrc; done",
    "deep repositories": """
        for i in $(seq 60); do d=$i/$(seq -s/ 90); mkdir -p $d; cp -r .git $d; done""",
    "configurations": """
        git init -q 1; git config -f 1/.git/config branch.x.merge alias
        yes '  merge = alias' | head -c 200000 >> 1/.git/config
        for i in $(seq 2 100); do cp -r 1 $i; done""",
}


@pytest.mark.parametrize("tree", MANY)
def test_the_work_for_the_next_run_is_bounded(host: Host, tree: str) -> None:
    """Neither mounts nor files that are read at its start grow with what a run has left."""
    host.attacked(MANY[tree])
    found = find_protected_paths(host.root)
    present = [path for path in found.read_only if os.path.lexists(host.root / path)]
    mounts = {parent for path in present for parent in (path, *path.parents)}
    assert len(mounts) <= protected_paths.MAX_GIT_MOUNTS + protected_paths.MAX_NAMED_MOUNTS + 50
    assert next_run(host) == "ran"


def test_names_in_a_configuration_are_bounded(host: Host) -> None:
    """A user who works without protection may have let a run write a hundred thousand includes."""
    lines = "".join(f"\tpath = x{i}\n" for i in range(100_000))
    (host.root / ".git/included").write_text(f"[include]\n{lines}")
    host.prepare("git config include.path included")
    assert len(find_protected_paths(host.root).absent) <= 2_000
    (line,) = host.attacked("true")
    assert line.startswith(
        f"{host.root} has more than a run protects; not read-only were: what long"
    )


def next_run(host: Host) -> str:
    """Start another run as `moat run` does; return its output."""
    file = agent_file.find(host.root)
    if file is not None:
        agent_file.load(file)
    return host.sandbox.shell("echo ran")


DECOYS = {
    "nearer files": "for i in $(seq 100); do mkdir a$i; touch a$i/.envrc; done",
    "nearer folders": "mkdir -p a/b{1..300}",
    "names beside them": "touch deep/er/{,still/,lib/}{1..500}",
}


@pytest.mark.parametrize("decoys", DECOYS)
def test_the_users_own_paths_come_before_what_a_run_has_made(
    host: Host, decoys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are few of the nearest, or in few of the nearest folders: those that were there first."""
    monkeypatch.setattr("moat.workspace.discovery.MAX_FOLDERS_BEFORE", 200)
    monkeypatch.setattr("moat.workspace.discovery.MAX_NAMES_IN_FOLDER", 200)
    host.prepare(
        "mkdir -p deep/er/still; echo mine > deep/er/still/.envrc; GIT init -q deep/er/lib"
    )
    host.attacked(DECOYS[decoys])
    done = host.sandbox.run(
        "bash", "-c", "echo > deep/er/still/.envrc; echo > deep/er/lib/.git/config"
    )
    assert done.stderr.count("Read-only") == 2


def test_what_comes_with_a_moved_folder_is_named(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a workspace too large to be searched at the start, though the file itself is old."""
    monkeypatch.setattr("moat.workspace.discovery.MAX_FOLDERS_BEFORE", 20)
    host.attacked(
        "mkdir -p a/b{1..30} node_modules/x/.vscode; touch node_modules/x/.vscode/tasks.json"
    )
    named = host.attacked("mv node_modules/x app")
    assert named == [f"{host.root}: new or changed, and obeyed unasked: app/.vscode (VS Code)"]


def test_a_link_into_packages_is_named(host: Host) -> None:
    """Whoever opens it finds what nobody has looked at; links of package managers are their own."""
    host.prepare("mkdir web")
    lines = host.attacked(
        "mkdir -p node_modules/x/.vscode node_modules/.bin; ln -s ../x node_modules/.bin/x;"
        "rmdir web; ln -s node_modules/x web; ln -s node_modules other"
    )
    (finding,) = lines
    assert "web" in finding
    assert "other" not in finding
