"""What users do every day: variables, git, lists, names, reports."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.e2e.conftest import TIMEOUT_S

from moat.platform.process import Process

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Moat


def test_variables_are_the_callers_once_that_is_agreed_to(moat: Moat) -> None:
    """A project's file takes no variable of the caller's before the user has agreed to just that one."""
    (moat.workspace / "agent.yaml").write_text(
        "command: sh -c 'echo $TOKEN $A'\nenv: {TOKEN: , A: '${USER_NAME:-nobody}-$$5'}\n"
    )
    refused = moat("run", TOKEN="t-1")
    assert refused.returncode == 3
    assert "TOKEN, as it is set where moat is called" in refused.stderr
    moat.ok("trust")
    assert moat.ok("run", TOKEN="t-1") == "t-1 nobody-$5\n"
    missing = moat("run")
    assert missing.returncode == 2
    assert "env.TOKEN: there is no variable TOKEN here" in missing.stderr
    assert moat.ok("run", "-e", "TOKEN=given") == "given nobody-$5\n"


def test_the_settings_have_variables_mounts_and_limits_for_all_runs(moat: Moat) -> None:
    """What the user wrote once holds in a project that says nothing."""
    data = moat.workspace.with_name("data")
    data.mkdir()
    (data / "file").write_text("seen\n")
    moat.write_settings(f"env: {{A: own}}\nmounts: ['{data}:/data:ro']\nlimits: {{timeout: 9m}}\n")
    assert moat.ok("run", "--", "sh", "-c", "echo $A; cat /data/file") == "own\nseen\n"


def test_git_knows_the_user_and_signs_nothing(moat: Moat, tmp_path: Path) -> None:
    """A commit in the sandbox has the identity that the user has for that folder, without a key."""
    home = tmp_path / "ada"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ada\n\temail = home@example.com\n[init]\n\tdefaultBranch = trunk\n"
        f'[commit]\n\tgpgSign = true\n[includeIf "gitdir:{moat.workspace}/"]\n\tpath = work\n'
    )
    (home / "work").write_text("[user]\n\temail = work@example.com\n")
    script = (
        "git init -q new && cd new && git commit -q --allow-empty -m x && git branch --show-current"
        " && git log -1 --format=%an,%ae && git config --global user.name Eve && git config user.name"
    )
    said = moat.ok("run", "--", "sh", "-c", script, HOME=str(home))
    assert said == "trunk\nAda,work@example.com\nEve\n"


def test_git_config_holds_in_the_run_alone(moat: Moat) -> None:
    """What git and its friends write into a repository's configuration works, and stays in there."""
    origin = moat.workspace.with_name("origin")
    commands = f"""
        git init -q -b main . && git config user.name Ada && git config user.email a@b
        git config commit.gpgSign true && git config core.untrackedCache false
        git -c commit.gpgSign=false commit -q --allow-empty -m start
        git clone -q --bare . {origin} && mkdir sub && git init -q sub
    """
    for line in filter(None, map(str.strip, commands.splitlines())):
        subprocess.run(["sh", "-ec", line], cwd=moat.workspace, check=True)
    config = moat.workspace / ".git" / "config"
    before = config.read_bytes()
    script = """
        git remote add origin /origin && git push -q -u origin main
        git switch -q -c topic --track origin/main && git config core.hooksPath .husky
        git -C sub config user.name Sub && git -C sub config user.name
        git commit -q --allow-empty -m inside && git rev-parse --abbrev-ref @{u}
        git config core.hooksPath; git config core.untrackedCache; git branch -q -d main
    """
    said = moat.ok("run", "--mount", f"{origin}:/origin:rw", "--", "sh", "-ec", script)
    assert said == "Sub\norigin/main\n.husky\nfalse\n"
    assert config.read_bytes() == before
    assert not config.is_symlink()
    assert "user" not in (moat.workspace / "sub/.git/config").read_text()
    git = ["git", "-C", str(moat.workspace), "log", "-1", "--format=%s", "topic"]
    assert subprocess.run(git, check=True, capture_output=True, text=True).stdout == "inside\n"


def test_the_copy_of_a_git_config_is_no_way_out(moat: Moat) -> None:
    """A run that replaces the link's target, or writes through it, changes nothing on the host."""
    subprocess.run(["git", "init", "-q", "."], cwd=moat.workspace, check=True)
    config = moat.workspace / ".git" / "config"
    before = config.read_bytes()
    script = """
        cd .git; copy=$(readlink config); echo '[alias] x = !y' >> config; rm -f "$copy"
        ln -s /workspace/.git/hooks/../config "$copy"; echo z >> "$copy"; rm -f config
        mv -f HEAD config; ln -sfn /workspace/planted "$(dirname "$copy")/link"; echo z > config
        umount config; echo end
    """
    assert moat("run", "--", "sh", "-c", script).stdout.endswith("end\n")
    assert config.read_bytes() == before
    assert config.stat().st_nlink == 1


def test_a_run_can_be_removed_at_its_end(moat: Moat) -> None:
    """`--rm` leaves neither a row nor a folder, and the exit code is the command's."""
    assert moat("run", "--rm", "-n", "x", "--", "sh", "-c", "exit 3").returncode == 3
    moat.ok("run", "--rm", "-d", "-n", "y", "--", "sleep", "infinity")
    folder = moat.home / "runs" / moat.inspect("y")["id"]
    with Process(moat.supervisor("y")) as supervisor:
        moat.ok("stop", "y")
        supervisor.wait(TIMEOUT_S)
    assert not folder.exists()
    assert "y" not in [run["name"] for run in moat.runs()]


def test_names_are_free_again_and_what_is_over_can_be_pruned(moat: Moat) -> None:
    """The name leads to the newest run; the one before has a number, and prune removes both."""
    assert moat.ok("run", "-n", "fix", "--", "echo", "one") == "one\n"
    again = moat("run", "-n", "fix", "--", "echo", "two")
    assert again.stderr == "moat: the ended run fix is called fix-2 now\n"
    assert moat.ok("logs", "fix") == "two\n"
    assert moat.ok("logs", "fix-2") == "one\n"
    assert moat.json("list", "-a", "--json", "name") == [{"name": "fix"}, {"name": "fix-2"}]
    assert set(moat.ok("prune", "--yes").split()) == {"fix", "fix-2"}
    assert moat.runs() == []
