"""What a run plants in a repository, and the user who goes on working there."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.followers import changes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAKE_LIB = (
    "git init -q lib; git -C lib -c user.name=a -c user.email=a@b commit -q --allow-empty -m x;"
    "git -C lib config core.fsmonitor 'touch {marker}; false'; git add lib 2>/dev/null"
)
PLANT = (
    "git init -q --bare fake; git -C fake config core.bare false;"
    "git -C fake config core.fsmonitor 'touch {marker}; false'; cp -r .git/objects .git/refs fake;"
    "echo ../fake > .git/commondir"
)


@pytest.fixture
def git(project: Path, tmp_path: Path) -> Callable[..., str]:
    """Git on the host, which must not run what the sandbox has ordered."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=project, capture_output=True, text=True, check=True
        )
        assert not (tmp_path / "marker").exists(), f"git {arguments} ran it"
        return done.stdout

    return run


@pytest.mark.parametrize("plant", [MAKE_LIB, PLANT])
def test_the_user_looks_at_the_difference(
    moat: Any, project: Path, git: Callable[..., str], tmp_path: Path, plant: str
) -> None:
    """As the documentation says one should; and is told what there was to beware of."""
    script = plant.format(marker=tmp_path / "marker")
    done = moat("run", "-n", "x", "--", "sh", "-c", f"{script}; exit 7", cwd=project)
    assert done.returncode == 7
    assert f"moat: after the run: {project}/" in done.stderr
    git("diff")
    git("status")
    assert "after the run" in moat("attach", "x").stderr
    assert (
        "after the run"
        in (moat.home / "runs" / moat.inspect("x")["id"] / "supervisor.log").read_text()
    )


LINKED_HOME = """
home=$(awk '$5 == "/home/agent" {print $4}' /proc/self/mountinfo)
mkdir ~/lib; cd ~/lib; git init -q; git config core.fsmonitor 'touch %s; false'
rm -rf /workspace/lib; ln -s "$home/lib" /workspace/lib"""


@pytest.mark.parametrize("options", [(), ("--keep",)])
def test_a_link_to_the_sandboxs_home_leads_nowhere(
    moat: Any, project: Path, git: Callable[..., str], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """A run knows where its home lies on the host, and no clean-up looks for repositories there."""
    marker = tmp_path / "marker"
    (project / "lib").mkdir()
    moat("run", "-n", "x", *options, "--", "sh", "-c", LINKED_HOME % marker, cwd=project)
    assert (project / "lib").is_symlink()
    subprocess.run(["git", "-C", project / "lib", "status"], capture_output=True, check=False)
    git("status")
    private = moat.home / "runs" / moat.inspect("x")["id"] / "private"
    assert bool([*private.glob("ended-*/*/lib")]) == bool(options)


def test_the_whole_list_is_shown_with_reasons(moat: Any, project: Path) -> None:
    """One line at the end names what is new and the command that lists all of it; settings add to it."""
    moat.write_settings("protected_paths: [{path: '*.plan', program: us}]\n")
    script = "mkdir a; touch a/.envrc a/x.plan; install -m 2755 /bin/true y; echo > .git/commondir"
    done = moat("run", "-n", "x", "--", "sh", "-c", script, cwd=project)
    said = f"moat: after the run: {project}: new or changed, and obeyed unasked: "
    assert f"{said}a/.envrc (direnv), a/x.plan (us)" in done.stderr
    run = moat.inspect("x")["id"]
    assert f"moat: with reasons: moat diff {run} --trust\n" in done.stderr
    shown = moat.ok("diff", run, "--trust").splitlines()
    pointer = project / ".git" / "commondir"
    assert shown == [
        "Put aside or disarmed:",
        f"  {pointer}  renamed to commondir.disarmed  [git: it names another git folder to obey]",
        "Taken off:",
        f"  {project}/y  setgid  [the kernel: it lends its owner's rights to whoever starts it]",
        "New or changed, and left as it is:",
        f"  {project}/a/.envrc  [direnv: it is run by a shell that enters the folder]",
        f"  {project}/a/x.plan  [us: it is protected by a setting]",
    ]
    lines = moat.ok("events", "x", "--json").splitlines()
    kinds = {json.loads(line)["event"] for line in lines}
    assert {"quarantined", "left_behind"} <= kinds
    assert '"event": "left_behind"' in moat.ok("audit", "x", "--json")


def test_nothing_waits_for_the_next_supervisor(
    moat: Any, project: Path, git: Callable[..., str], tmp_path: Path
) -> None:
    """The run ends while no supervisor lives, and nobody gives a command of Moat's."""
    plant = PLANT.format(marker=tmp_path / "marker")
    script = f"mkfifo go; {plant}; echo planted; read line < go; exit 7"
    moat.ok("run", "-d", "-n", "x", "--", "sh", "-c", script, cwd=project)
    moat.ok("wait", "--text", "planted", "x")
    moat.kill("x", "supervisor")
    watch = changes(project / ".git")
    next(watch)
    (project / "go").write_text("\n")
    while (project / ".git" / "commondir").exists():
        next(watch)
    git("status")
    assert moat.ok("wait", "x") == "7\n"


def test_a_run_does_not_take_what_a_dead_one_has_left_for_the_users(
    moat: Any, project: Path, git: Callable[..., str], tmp_path: Path
) -> None:
    """Shim and supervisor were killed at once, as in a crash, and the next run begins."""
    plant = MAKE_LIB.format(marker=tmp_path / "marker")
    script = f"{plant}; echo planted; sleep 1000"
    moat.ok("run", "-d", "-n", "x", "--", "sh", "-c", script, cwd=project)
    moat.ok("wait", "--text", "planted", "x")
    moat.kill("x", "supervisor", "shim")
    moat.ok("run", "-n", "y", "--", "true", cwd=project)
    git("status")
