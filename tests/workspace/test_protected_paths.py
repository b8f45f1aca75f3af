"""Protected paths: what programs on the host obey unasked, under attack by a real sandbox.

Where git obeys a path, the real git is asked on the host whether the attack's program runs.
"""

from __future__ import annotations

import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
from tests.full_disk import files_of_at_most

from moat.engines.bubblewrap.mounts import Mounts
from moat.errors import UsageError
from moat.workspace import discovery, recorder
from moat.workspace.cleanup import clean_up
from moat.workspace.covers import mount_folder
from moat.workspace.known_paths import PROJECT
from moat.workspace.path_rules import Protection

if TYPE_CHECKING:
    from tests.sandbox import Sandbox
    from tests.workspace.host import Host

READ_ONLY = [rule.path for rule in PROJECT if rule.protection is Protection.READ_ONLY]
WATCHED = [rule.path for rule in PROJECT if rule.protection is Protection.WATCHED]
PROGRAMS = {rule.path.replace("*", "x"): rule.program for rule in PROJECT}
HOOK = "printf '#!/bin/sh\\nPAYLOAD' > {0}; chmod +x {0}"


def make(root: Path, path: str, depth: str = "") -> str:
    """Create a file at a path of the table; return the path."""
    file = f"{depth}{path.replace('*', 'x')}"
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text("ours")
    return file


def overwritten(sandbox: Sandbox, files: list[str]) -> list[str]:
    """Return those of the files that a command in the sandbox can write."""
    script = "for file; do (echo theirs > $file) 2> /dev/null && echo $file; done; true"
    return sandbox.run("bash", "-c", script, "bash", *files).stdout.splitlines()


# As many as are made read-only in one run.
PARTS = range(0, len(READ_ONLY), 50)


@pytest.mark.parametrize("depth", ["", "pkg/app/"])
@pytest.mark.parametrize("part", PARTS)
def test_known_names_are_read_only_at_any_depth(sandbox: Sandbox, depth: str, part: int) -> None:
    """Neither the file can be written nor a folder on the way be moved; watched ones can."""
    paths = [path for path in READ_ONLY[part : part + 50] if path != "moat.yaml"]
    files = [make(sandbox.workspace, path, depth) for path in paths]
    read_only = {PurePosixPath(path).parts[0] for path in paths}
    watched = [
        make(sandbox.workspace, path, depth)
        for path in WATCHED
        if PurePosixPath(path).parts[0] not in read_only
    ]
    assert overwritten(sandbox, [*files, *watched]) == watched
    assert {(sandbox.workspace / file).read_text() for file in files} == {"ours"}
    for file in files[:3] if depth else ():
        assert "busy" in sandbox.rename(PurePosixPath(file).parts[0])


def test_new_and_changed_paths_are_reported_in_one_line(host: Host) -> None:
    """The line has the program that obeys each, and neither unchanged paths nor packages."""
    for path in (".zed/tasks.json", "pkg/.claude/commands/x.md", "pkg/.mcp.json"):
        make(host.root, path)
    lines = host.attacked(
        "mkdir -p a/.hg b/.vscode node_modules/x/.vscode; touch a/.envrc a/.hg/hgrc b/.vscode/x;"
        "touch node_modules/x/.envrc; echo more >> pkg/.claude/commands/x.md; touch z.code-workspace"
    )
    (line,) = lines
    head, _, listed = line.partition(" unasked: ")
    assert head == f"{host.root}: new or changed, and obeyed"
    assert sorted(listed.split(", ")) == [
        *("a/.envrc (direnv)", "a/.hg/hgrc (Mercurial)", "b/.vscode (VS Code)"),
        *("pkg/.claude/commands (Claude Code)", "z.code-workspace (VS Code)"),
    ]


def test_a_long_report_is_cut(host: Host) -> None:
    """A hostile run can leave any number of paths."""
    (line,) = host.attacked("for i in $(seq 30); do mkdir $i; touch $i/.envrc; done")
    assert line.count("(direnv)") == 10
    assert line.endswith(" and 20 more")


def test_a_protected_file_that_the_user_replaced_is_reported(host: Host) -> None:
    """The new file isn't covered, so the run may have written it; the user's own edit can't be told."""
    make(host.root, ".envrc")
    host.sandbox.shell("true")
    host.prepare("echo more > new; mv new .envrc")
    assert clean_up(host.sandbox.folder).lines() == [
        f"{host.root}: new or changed, and obeyed unasked: .envrc (direnv)"
    ]


def test_a_large_workspace_is_not_taken_for_new(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths beyond the folders that were searched at the start count by what was recorded of it."""
    monkeypatch.setattr(discovery, "MAX_FOLDERS_BEFORE", 2)
    for path in ("a/b/c/old/.envrc", "a/b/c/touched/.vscode/tasks.json"):
        make(host.root, path)
    host.sandbox.folder.root.mkdir(parents=True)
    recorder.record(host.sandbox.folder, str(host.root), time.time_ns(), set())
    (line,) = host.attacked(
        "mkdir a/b/c/new; echo > a/b/c/new/.envrc; echo > a/b/c/touched/.vscode/tasks.json;"
        "ln -s old a/b/c/.zed"
    )
    assert sorted(line.partition(" unasked: ")[2].split(", ")) == [
        *("a/b/c/.zed (Zed)", "a/b/c/new/.envrc (direnv)", "a/b/c/touched/.vscode (VS Code)"),
    ]


def test_packages_can_be_removed(sandbox: Sandbox) -> None:
    """`npm ci` removes node_modules with all the editor settings that packages bring along."""
    make(sandbox.workspace, "node_modules/x/.vscode/settings.json")
    sandbox.shell("rm -r node_modules")


# --- links ---


def test_a_second_name_of_a_file_is_no_way_in(host: Host) -> None:
    """Hard links: the protected name gets a copy, so the run writes the other file."""
    make(host.root, ".envrc")
    make(host.root, ".vscode/tasks.json")
    host.prepare(
        "mkdir scripts; printf '#!/bin/sh\\n' > scripts/hook; chmod 751 scripts/hook;"
        "touch -d 2020-01-01 scripts/hook; ln scripts/hook .git/hooks/post-commit;"
        "ln .envrc a; ln .vscode/tasks.json b; ln .git/config c"
    )
    lines = host.attacked(
        "for f in a b scripts/hook; do echo 'PAYLOAD' >> $f; done;"
        "git config -f c core.fsmonitor 'PAYLOAD'"
    )
    assert lines == []
    host.is_safe("git status", "GIT commit -q --allow-empty -m x")
    assert (host.root / ".envrc").read_text() == "ours"
    assert (host.root / ".vscode/tasks.json").read_text() == "ours"
    hook = (host.root / ".git/hooks/post-commit").stat()
    assert (hook.st_nlink, hook.st_mode & 0o777, int(hook.st_mtime)) == (1, 0o751, 1577836800)


def test_a_second_name_that_can_not_be_taken_away(host: Host) -> None:
    """On a full disk the run is refused, and no half of a copy stays behind."""
    (host.root / ".envrc").write_text("x" * 10_000)
    host.prepare("ln .envrc a")
    before = sorted(host.root.iterdir())
    mounts = Mounts(host.sandbox.private)
    with files_of_at_most(1000), pytest.raises(UsageError, match=r"another name \(hard link\)"):
        mount_folder(mounts, host.root, PurePosixPath("/data"))
    assert sorted(host.root.iterdir()) == before
    assert (host.root / ".envrc").stat().st_nlink == 2


def test_what_a_link_in_a_protected_folder_leads_to_is_read_only(host: Host) -> None:
    """The program follows the link, so the file behind it is obeyed too."""
    make(host.root, "tools/tasks.json")
    host.prepare(
        "mkdir .vscode .githooks; ln -s ../tools/tasks.json .vscode/tasks.json;"
        "git config core.hooksPath .githooks; ln -s ../tools/hook .githooks/post-commit;"
        "printf '#!/bin/sh\\n' > tools/hook; chmod +x tools/hook;"
        "mkdir pkg settings; ln -s ../settings pkg/.idea"
    )
    attacked = ["tools/tasks.json", "tools/hook", "tools/new", "settings/new"]
    assert overwritten(host.sandbox, attacked) == ["tools/new"]
    assert "busy" in host.sandbox.rename("tools")
    host.is_safe("GIT commit -q --allow-empty -m x")


def test_a_link_that_a_run_left_does_not_stop_the_next_run(host: Host) -> None:
    """A link at a protected name would make a start fail, so it is put aside; others are reported."""
    lines = host.attacked("ln -s file .envrc; ln -s file agent.yaml; mkdir a; ln -s x a/.envrc")
    assert lines == [
        f"{host.root}/.envrc: renamed to .envrc.disarmed",
        f"{host.root}/agent.yaml: renamed to agent.yaml.disarmed",
        f"{host.root}: new or changed, and obeyed unasked: a/.envrc (direnv)",
    ]
    host.sandbox.shell("true")


def test_links_of_other_names_stop_no_run(sandbox: Sandbox) -> None:
    """Projects share the settings of agents and editors by links, within them or with others."""
    make(sandbox.workspace, ".agents/settings.json")
    (sandbox.workspace / ".claude").symlink_to(".agents")
    (sandbox.workspace / ".mcp.json").symlink_to(sandbox.home / "mcp.json")
    (sandbox.workspace / ".zed").symlink_to(".")
    assert overwritten(sandbox, [".agents/settings.json", ".agents/new"]) == [".agents/new"]


# --- git ---


@pytest.fixture
def outer(host: Host) -> Host:
    """The user works in `frontend`, a folder of the repository."""
    host.prepare("mkdir -p frontend/.githooks frontend/tools")
    host.sandbox.workspace = host.root / "frontend"
    return host


ENCLOSING = {
    "core.hooksPath frontend/.githooks": HOOK.format(".githooks/post-commit"),
    "core.fsmonitor frontend/tools/fsm": HOOK.format("tools/fsm"),
    "include.path ../frontend/config": "git config -f config core.fsmonitor 'PAYLOAD'",
    "filter.x.clean frontend/tools/clean": HOOK.format("tools/clean"),
}


@pytest.mark.parametrize("setting", ENCLOSING)
@pytest.mark.parametrize("exists", [True, False])
def test_what_an_enclosing_repository_names_runs_nothing(
    outer: Host, setting: str, exists: bool
) -> None:
    """The workspace is a folder of a repository, whose configuration names something in it."""
    name = setting.partition(" ")[2].removeprefix("../")
    if exists and not name.endswith("hooks"):
        outer.prepare(f"touch {name}; chmod +x {name}")
    outer.prepare(f"git config {setting}; echo '*.txt filter=x' > .gitattributes; git add -A")
    outer.attacked(f"({ENCLOSING[setting]}) || true; echo > x.txt")
    outer.is_safe("git status; git add -A; GIT commit -q -m x || true", "git -C frontend status")


def test_a_hook_of_an_enclosing_repository_may_be_a_link(outer: Host) -> None:
    """The hooks lie outside, and one of them leads into the workspace."""
    outer.prepare(
        "printf '#!/bin/sh\\n' > frontend/tools/hook; chmod +x frontend/tools/hook;"
        "ln -s ../../frontend/tools/hook .git/hooks/post-commit"
    )
    outer.attacked("echo 'PAYLOAD' >> tools/hook || true")
    outer.is_safe("GIT commit -q --allow-empty -m x")


def test_a_submodule_as_the_workspace(host: Host) -> None:
    """Its git folder lies outside, in that of the repository around it."""
    host.prepare(
        "GIT init -q ../lib; GIT -C ../lib commit -q --allow-empty -m x;"
        "GIT submodule --quiet add $PWD/../lib lib; git -C lib config core.hooksPath .githooks;"
        "mkdir lib/.githooks"
    )
    host.sandbox.workspace = host.root / "lib"
    host.attacked(f"({HOOK.format('.githooks/post-commit')}) || true")
    host.is_safe("GIT commit -q --allow-empty -m x", folder="lib")


def test_worktrees_share_the_settings_of_their_repository(host: Host) -> None:
    """A relative path in the common configuration means another file in each linked worktree."""
    host.prepare(
        "git config core.hooksPath .githooks; mkdir .githooks; touch .githooks/x; git add .githooks;"
        "GIT commit -q -m x; GIT worktree add -q tree"
    )
    assert overwritten(host.sandbox, ["tree/.githooks/x", "tree/.githooks/post-commit"]) == []
    host.attacked(f"({HOOK.format('tree/.githooks/post-commit')}) || true")
    host.is_safe("GIT commit -q --allow-empty -m y", folder="tree")


def test_a_worktree_of_a_repository_elsewhere(host: Host) -> None:
    """Its git folder lies neither in the workspace nor around it."""
    host.prepare(
        "GIT init -q ../other; cd ../other; GIT commit -q --allow-empty -m x;"
        "git config core.hooksPath .githooks; GIT worktree add -q ../project/tree;"
        "mkdir ../project/tree/.githooks"
    )
    host.attacked(f"({HOOK.format('tree/.githooks/post-commit')}) || true")
    host.is_safe("GIT commit -q --allow-empty -m y", folder="tree")


def test_a_workspace_by_another_name(host: Host) -> None:
    """A configuration may name the workspace by a link that leads to it."""
    (host.sandbox.home / "alias").symlink_to(host.root)
    host.prepare(f"mkdir .githooks; git config core.hooksPath {host.sandbox.home}/alias/.githooks")
    assert overwritten(host.sandbox, [".githooks/post-commit"]) == []


def test_excludes_and_attributes_are_what_they_were(host: Host) -> None:
    """They would hide the run's work from `git status` and `git diff`; a clone may have its own."""
    host.prepare("echo ours > .git/info/exclude; GIT init -q nested")
    assert overwritten(host.sandbox, [".git/info/exclude"]) == []
    lines = host.attacked(
        "echo '* -diff' > .git/info/attributes; git clone -q . copy; echo x > copy/.git/info/exclude"
    )
    assert lines == [f"{host.root}/.git/info/attributes: renamed to attributes.disarmed"]
    host.sandbox.shell("true")
    host.prepare("echo new > new; mv new .git/info/exclude")
    lines = clean_up(host.sandbox.folder).lines()
    assert lines == [f"{host.root}/.git/info/exclude: renamed to exclude.disarmed"]
    assert (host.root / ".git/info/exclude").read_text() == "ours\n"


def test_shared_excludes_stop_no_run(host: Host) -> None:
    """Some users make the file, or its folder, a link to one of their own."""
    (host.sandbox.home / "exclude").write_text("x")
    host.prepare(f"ln -sf {host.sandbox.home}/exclude .git/info/exclude; GIT init -q nested")
    host.prepare("rm -r nested/.git/info; ln -s ../../.git/info nested/.git/info")
    assert host.attacked("true") == []
    assert (host.root / ".git/info/exclude").readlink() == host.sandbox.home / "exclude"


# --- a hostile run costs itself, not the next one ---


def test_invented_worktrees_stop_no_run(host: Host) -> None:
    """A run can make as many as it wants, and each would take mounts."""
    host.attacked(
        "cd .git; for i in $(seq 1200); do mkdir -p worktrees/$i; done;"
        "for i in worktrees/*; do echo ../.. > $i/commondir; echo x > $i/gitdir; done"
    )
    host.sandbox.shell("true")
    assert overwritten(host.sandbox, [".git/config"]) == []


def test_any_number_of_names_stops_no_run(host: Host) -> None:
    """The nearest are read-only, and the others are looked at after the run."""
    host.attacked("mkdir -p d; cd d; for i in $(seq 400); do mkdir $i; touch $i/.envrc; done")
    assert len(overwritten(host.sandbox, [f"d/{i}/.envrc" for i in range(1, 401)])) == 340
    left, ignored = clean_up(host.sandbox.folder).lines()
    assert left.endswith(" and 330 more")
    assert ignored.endswith("; not read-only were: files that programs obey (340)")
