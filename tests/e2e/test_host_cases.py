"""What an ordinary user's run leaves for the host, by kinds; root's runs are tried in the other files.

Each script runs in a sandbox and leaves something that would make a file on the host. Then the user goes
on working there.
"""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.ordinary_user import OrdinaryUser

GIT = "git -c user.name=a -c user.email=a@b -c init.defaultBranch=main"


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file of the host's that no sandbox shows, in a folder where everybody may make it."""
    folder = tmp_path / "marks"
    folder.mkdir()
    folder.chmod(0o777)
    return folder / "ran"


def attacked(user: OrdinaryUser, marker: Path, script: str, *options: str) -> str:
    """Return what the user is told at the end of a run of a script."""
    payload = f"touch {marker}; false"
    command = script.replace("PAYLOAD", payload).replace("GIT", GIT)
    done = user.moat("run", *options, "--", "bash", "-ec", command)
    assert done.returncode == 0, done.stderr
    return done.stderr


def goes_on(user: OrdinaryUser, marker: Path, *commands: str) -> None:
    """The user works in the workspace, and starts the next run."""
    for command in commands:
        user.shell(command.replace("GIT", GIT))
        assert not marker.exists(), command
    done = user.moat("run", "--", "true")
    assert (done.returncode, marker.exists()) == (0, False), done.stderr


REPOSITORY = "GIT init -q; mkdir -p sub; echo x | tee file > sub/file; git add .; GIT commit -qm x"
HOOK = "printf '#!/bin/sh\\nPAYLOAD\\n' > {0}; chmod +x {0}"

# The next Moat and the next Python, in a folder full of what they might take for their own.
CODE = {
    "modules": """
        for name in moat sitecustomize usercustomize click yaml asyncio; do
            echo 'import os; os.system("PAYLOAD")' > $name.py; mkdir -p lib/$name
            cp $name.py lib/$name/__init__.py; done""",
    "paths": """
        for name in moat.pth x.pth python3._pth; do echo 'import os; os.system("PAYLOAD")' > $name; done
        mkdir -p .local/lib/python3.11/site-packages; cp x.pth .local/lib/python3.11/site-packages""",
    "environments": """
        echo "home = $PWD/bin" > pyvenv.cfg; echo ../../../../$PWD > .python-version
        mkdir bin .venv; cp pyvenv.cfg .venv
        for name in python python3 bwrap git sh; do """
    + HOOK.format("bin/$name")
    + """; done; cp -r bin .venv""",
}


@pytest.mark.parametrize("what", CODE)
def test_code_in_the_workspace_is_not_moats(
    ordinary_user: OrdinaryUser, marker: Path, what: str
) -> None:
    """A folder of the user's is no place from which Moat takes code because it was called there."""
    attacked(ordinary_user, marker, CODE[what])
    for command in (("list",), ("doctor",), ("run", "-d", "-n", "x", "--", "sleep", "infinity")):
        ordinary_user.moat(*command)
        assert not marker.exists()
    assert ordinary_user.moat("stop", "x").returncode == 0
    goes_on(ordinary_user, marker)


OPENINGS = {
    "a command": "command: [sh, -c, PAYLOAD]",
    "a host": "network: {hosts: {api.test: 192.0.2.1}, allow: [api.test]}",
    "a credential": "grants: [github]",
    "a variable": "env: {KEY: }",
}


@pytest.mark.parametrize("what", OPENINGS)
@pytest.mark.parametrize("name", ["agent.yaml", "moat.yaml"])
def test_a_file_of_the_runs_opens_nothing(
    ordinary_user: OrdinaryUser, marker: Path, what: str, name: str
) -> None:
    """The next run isn't started, and says how to look."""
    attacked(ordinary_user, marker, f"echo '{OPENINGS[what]}' > {name}")
    done = ordinary_user.moat("run", *(() if what == "a command" else ("--", "true")), KEY="mine")
    assert (done.returncode, marker.exists()) == (3, False)
    assert "moat trust --show" in done.stderr


AROUND = {
    "hooks": "git config core.hooksPath app/hooks",
    "an include": "git config include.path ../app/config",
    "a monitor": "git config core.fsmonitor app/monitor",
}


@pytest.mark.parametrize("what", AROUND)
def test_the_repository_around_the_workspace_obeys_nothing_new(
    ordinary_user: OrdinaryUser, marker: Path, what: str
) -> None:
    """A run in a folder of a repository whose configuration names something in that folder."""
    user = ordinary_user
    user.shell(
        f"{REPOSITORY}; mkdir app; touch app/x; git add app; {AROUND[what]}".replace("GIT", GIT)
    )
    plant = f"""
        mkdir hooks; {HOOK.format("hooks/post-commit")}; {HOOK.format("monitor")}
        printf '[core]\\nfsmonitor = "PAYLOAD"\\n' > config"""
    attacked(user, marker, plant, "app")
    user.run("bash", "-c", f"git status; {GIT} commit -qm y")
    assert not marker.exists()


NAMES = [".envrc", "pkg/.vscode/tasks.json", "pkg/deep/.mcp.json", ".git/hooks/pre-commit"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", ["itself", "second name"])
def test_what_programs_obey_by_name_stays(
    ordinary_user: OrdinaryUser, marker: Path, name: str, way: str
) -> None:
    """It is read-only at any depth, and a hard link to it leads elsewhere."""
    user = ordinary_user
    user.shell(
        f"{REPOSITORY}; mkdir -p $(dirname {name}); echo mine > {name}; ln {name} other".replace(
            "GIT", GIT
        )
    )
    target = name if way == "itself" else "other"
    attacked(user, marker, f"echo theirs > {target} || true; chmod 777 {name} || true")
    assert user.shell(f"cat {name}") == "mine\n"


HIDING = {
    "a flag": "git update-index --assume-unchanged sub/file",
    "a split index": "git update-index --split-index --skip-worktree sub/file",
    "an attribute": "echo '* -text' > .git/info/attributes; git update-index --skip-worktree sub/file",
    "an index that is none": "git update-index --assume-unchanged sub/file; truncate -s 65M .git/index",
}


@pytest.mark.parametrize("way", HIDING)
def test_git_shows_what_the_run_changed(
    ordinary_user: OrdinaryUser, marker: Path, way: str
) -> None:
    """Whatever the run has told git."""
    ordinary_user.shell(REPOSITORY.replace("GIT", GIT))
    assert "moat: after the run: " in attacked(
        ordinary_user, marker, f"{HIDING[way]}; echo evil > sub/file"
    )
    assert "sub" in ordinary_user.shell("git status --porcelain")
    goes_on(ordinary_user, marker, "git status", "git diff")


TREES = {
    "worktrees": "mkdir .git/worktrees; cd .git/worktrees; seq 1200 | xargs mkdir;"
    " ls | xargs -i touch {}/gitdir",
    "links": "ln -s /etc .envrc; ln -s .vscode .vscode; ln -s / agent.yaml",
    "pipes": "mkfifo .envrc agent.yaml .gitmodules file.pipe; rm -f .git/index; mkfifo .git/index",
    "holes": "for i in $(seq 300); do truncate -s 16M hole$i; done; truncate -s 4T large",
    "names": "mkdir d; cd d; seq 30000 | xargs touch",
    "closed folders": "mkdir -p shut/in; touch shut/in/.envrc; chmod 000 shut/in shut",
}


@pytest.mark.parametrize("tree", TREES)
def test_a_hostile_tree_costs_the_next_run_nothing(
    ordinary_user: OrdinaryUser, marker: Path, tree: str
) -> None:
    """It starts, without waiting for anything in there."""
    ordinary_user.shell(REPOSITORY.replace("GIT", GIT))
    attacked(ordinary_user, marker, TREES[tree])
    goes_on(ordinary_user, marker)
    (run,) = json.loads(ordinary_user.moat("list", "-a", "--json").stdout)[-1:]
    assert ordinary_user.moat("diff", run["id"]).returncode == 0


def test_names_do_not_act_on_the_terminal(ordinary_user: OrdinaryUser, marker: Path) -> None:
    """A run chooses the names in what the user is told."""
    said = attacked(
        ordinary_user,
        marker,
        """for name in $'a\\x1b[2J' $'b\\nmoat: fine' $'c\\u202e'; do
            mkdir "$name"; echo x > "$name/.envrc"; mkfifo "$name/pipe"; done""",
    )
    assert ".envrc" in said
    assert not {"\x1b", "\u202e"} & set(said)
    first, last = said.splitlines()
    assert first.startswith("moat: after the run: ")
    assert last.startswith("moat: with reasons: ")


def test_a_service_of_the_hosts_is_out_of_reach(ordinary_user: OrdinaryUser, marker: Path) -> None:
    """Its socket lies in the workspace."""
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(ordinary_user.workspace / "db.sock"))
        (ordinary_user.workspace / "db.sock").chmod(0o777)
        service.listen()
        attacked(
            ordinary_user,
            marker,
            """python3 -c "
import socket, sys
try: socket.socket(socket.AF_UNIX).connect('db.sock')
except OSError: sys.exit(0)
sys.exit('connected')" """,
        )


def test_a_run_lends_nobody_the_users_rights(ordinary_user: OrdinaryUser, marker: Path) -> None:
    """Whoever starts such a program would act as the user. The kernel is told to refuse it."""
    lend = "cp /bin/true a; chmod 4755 a || true; chmod 2755 a || true; install -m 6755 a b || true"
    attacked(ordinary_user, marker, lend)
    assert ordinary_user.shell("find . -perm /6000") == ""


@pytest.mark.parametrize("home", ["", "chmod 500 ~", "chmod 000 ~/.cache ~ /tmp"])
def test_nothing_that_a_run_does_at_home_stops_the_clean_up(
    ordinary_user: OrdinaryUser, marker: Path, home: str
) -> None:
    """Its home is moved away first, which its owner can't do with a folder that isn't writable."""
    ordinary_user.shell(REPOSITORY.replace("GIT", GIT))
    plant = f"""
        mkdir -p ~/.cache lib; cd lib; git init -q; git config core.fsmonitor 'PAYLOAD'; cd ..
        git init -q ~/repo; git -C ~/repo config core.fsmonitor 'PAYLOAD'
        home=$(awk '$5 == "/home/agent" {{print $4}}' /proc/self/mountinfo)
        ln -s $home/repo link; {home or "true"}"""
    assert "moat: after the run: " in attacked(ordinary_user, marker, plant, "--keep")
    ordinary_user.run("bash", "-c", "git status; cd lib && git status; cd ../link && git status")
    goes_on(ordinary_user, marker, "git add -A 2>/dev/null || true; git status")
