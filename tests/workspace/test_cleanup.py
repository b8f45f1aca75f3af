"""The clean-up after a run: git on the host runs nothing that a run left, and loses nothing.

Every attack is made in a real sandbox, and every question is put to the real git, on the host.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.workspace.host import GIT

from moat.paths import RunFolder
from moat.runs import lock
from moat.spec import Mount
from moat.workspace import discovery
from moat.workspace.cleanup import clean_up, clean_up_dead_runs

if TYPE_CHECKING:
    from tests.workspace.host import Host

MAKE_LIB = f"git init -q lib; {GIT} -C lib commit -q --allow-empty -m x"
ADD_LIB = "git -c advice.addEmbeddedRepo=false add lib"

EVERYDAY = ("git status", "git diff", "git diff HEAD", "git add -A", "git status")


def test_a_repository_in_the_index_runs_nothing(host: Host) -> None:
    """Git asks every repository in the index for its status, and obeys its configuration."""
    lines = host.attacked(f"{MAKE_LIB}; git -C lib config core.fsmonitor 'PAYLOAD'; {ADD_LIB}")
    host.is_safe(*EVERYDAY)
    host.is_safe("git log -1", "git status", folder="lib")
    assert lines == [
        f"{host.root}/lib/.git/config: took out core.fsmonitor (as it was: config.disarmed)"
    ]
    assert "ran" in (host.root / "lib/.git/config.disarmed").read_text()


def test_nor_does_one_that_the_user_adds(host: Host) -> None:
    """`git add .` puts it into the index, and the next `git status` enters it."""
    host.attacked(f"{MAKE_LIB}; git -C lib config core.fsmonitor 'PAYLOAD'")
    host.is_safe("git add . 2>/dev/null", *EVERYDAY)


def test_an_honest_clone_stays_as_it_is(host: Host) -> None:
    """The settings of clones and worktrees are harmless, and nothing is reported."""
    lines = host.attacked(
        "git clone -q . copy; git -C copy config user.email a@b; git -C copy checkout -q -b other;"
        "git -C copy branch -q --set-upstream-to origin/main; git worktree add -q tree;"
        "git init -q --separate-git-dir apart split"
    )
    assert lines == []
    host.is_safe("git status -sb | grep -q origin/main", "git fetch -q || true", folder="copy")
    assert not list(host.root.rglob("*.disarmed*"))


SMUGGLED = {
    "by a .git file": """MAKE; CONFIG; mv lib/.git fake; echo 'gitdir: ../fake' > lib/.git""",
    "by a .git link": """MAKE; CONFIG; mv lib/.git fake; ln -s ../fake lib/.git""",
    "in the git folder": """MAKE; CONFIG; mkdir -p .git/modules; mv lib/.git .git/modules/lib
        echo 'gitdir: ../.git/modules/lib' > lib/.git""",
    "with a common folder": """MAKE; CONFIG; mv lib/.git common; mkdir lib/.git
        mv common/HEAD lib/.git; echo ../../common > lib/.git/commondir""",
    "without a right to list it": """MAKE; CONFIG; chmod 111 lib; chmod 555 .git""",
    "by an include": """MAKE; git config -f evil core.fsmonitor 'PAYLOAD'
        git -C lib config include.path ../../evil""",
    "in the worktree's configuration": """MAKE; git -C lib config extensions.worktreeConfig true
        git -C lib config --worktree core.fsmonitor 'PAYLOAD'""",
    "with a broken rest": """MAKE; CONFIG; echo '[' >> lib/.git/config.x""",
    "by a filter": """MAKE; echo '* filter=evil' > lib/.gitattributes; echo x > lib/y
        git -C lib add .; git -C lib config filter.evil.clean 'PAYLOAD'; touch lib/y""",
    "two levels down": """MAKE; CONFIG; git init -q top; mv lib top/lib
        git -C top -c advice.addEmbeddedRepo=false add lib; GIT -C top commit -q -m y
        git -c advice.addEmbeddedRepo=false add top""",
    "in an ignored folder": """MAKE; CONFIG; echo lib > .gitignore""",
}


@pytest.mark.parametrize("way", SMUGGLED)
def test_no_way_around(host: Host, way: str) -> None:
    """However git on the host would come to the sandbox's program, it doesn't run."""
    script = SMUGGLED[way].replace("MAKE", f"{MAKE_LIB}; {ADD_LIB}").replace("GIT ", f"{GIT} ")
    host.attacked(script.replace("CONFIG", "git -C lib config core.fsmonitor 'PAYLOAD'"))
    host.is_safe("set +e; git status; git diff; git add -A; git status; git diff HEAD; true")


MAGIC = {
    "common folder": "echo PLACE > lib/.git/commondir",
    "common folder by a link": "ln -s /proc/self lib/me; echo ../me/cwd/$cwd > lib/.git/commondir",
    "git folder": "rm -r lib/.git; echo gitdir: PLACE > lib/.git",
    "git folder by a descriptor": "rm -r lib/.git; echo gitdir: /dev/fd/../cwd/$cwd > lib/.git",
    "link": "rm -r lib/.git; ln -s PLACE lib/.git",
}


@pytest.mark.parametrize("way", MAGIC)
def test_a_path_leads_git_to_where_it_leads_us(
    host: Host, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """One by the working directory is good for us, and evil where the user is.

    The evil folder has no `HEAD`, so that nobody takes it for a repository but by that way.
    """
    monkeypatch.chdir("/")
    cwd = str(host.root / "good/.git").lstrip("/")
    script = f"""
        cwd={cwd}; git init -q good; git init -q evil; mkdir -p lib/.git lib/$cwd
        echo 'ref: refs/heads/main' | tee lib/.git/HEAD; mkdir lib/.git/refs lib/.git/objects
        git -C evil config core.fsmonitor 'PAYLOAD'; mv evil/.git/* lib/$cwd; rm lib/$cwd/HEAD"""
    host.attacked(f"{script}; {MAGIC[way]}".replace("PLACE", f"/proc/self/cwd/{cwd}"))
    host.is_safe("set +e; git status; true", folder="lib")


def test_hooks_of_a_new_repository_are_not_run(host: Host) -> None:
    """They are put aside; an example (`x.sample`) isn't a hook and stays."""
    lines = host.attacked(
        f"{MAKE_LIB}; printf '#!/bin/sh\nPAYLOAD' > lib/.git/hooks/pre-commit;"
        "chmod +x lib/.git/hooks/pre-commit; touch lib/.git/hooks/x.sample"
    )
    host.is_safe("GIT commit -q --allow-empty -m y", folder="lib")
    assert lines == [f"{host.root}/lib/.git/hooks/pre-commit: renamed to pre-commit.disarmed"]


def test_a_folder_that_became_a_repository_runs_nothing(host: Host) -> None:
    """Git takes any folder that looks like one for a bare repository, and looks for it upwards."""
    host.prepare("mkdir -p docs/more")
    host.attacked(
        "git init -q --bare b; mv b/* docs; git -C docs config core.bare false;"
        "git -C docs config core.fsmonitor 'PAYLOAD'; git -C docs config core.worktree .."
    )
    host.is_safe("git status", folder="docs/more")


def test_a_workspace_that_became_a_repository_runs_nothing(host: Host) -> None:
    """The whole workspace may become one."""
    host.prepare("rm -rf .git")
    host.attacked("git init -q; git config core.fsmonitor 'PAYLOAD'; git config user.name a")
    host.is_safe("git status; git config user.name")


def test_a_planted_commondir_goes_aside(host: Host) -> None:
    """It would send git to a folder that the agent made. A folder in a file's place goes too."""
    lines = host.attacked(
        "git init -q --bare fake; git -C fake config core.fsmonitor 'PAYLOAD';"
        "git -C fake config core.bare false; cp -r .git/objects .git/refs fake;"
        "echo ../fake > .git/commondir; mkdir .git/config.worktree"
    )
    host.is_safe(*EVERYDAY)
    assert f"{host.root}/.git/commondir: renamed to commondir.disarmed" in lines
    assert f"{host.root}/.git/config.worktree: renamed to config.worktree.disarmed" in lines


def test_repositories_that_were_there_are_read_only(host: Host) -> None:
    """So are nested ones, submodules and worktrees, and the files that name them."""
    host.prepare(
        "GIT init -q nested; GIT -C nested commit -q --allow-empty -m x; GIT init -q --bare bare.git;"
        "GIT submodule --quiet add $PWD/nested deep/mod; GIT worktree add -q tree;"
        "GIT init -q --separate-git-dir apart split; GIT commit -qm y"
    )
    for name in (
        *("nested/.git/config", "nested/.git/hooks/x", "bare.git/config", "deep/mod/.git"),
        *(".git/modules/deep/mod/config", "tree/.git", ".git/worktrees/tree/commondir"),
        *("split/.git", "apart/config"),
    ):
        done = host.sandbox.run("bash", "-c", f"echo theirs > {name}")
        assert "Read-only" in done.stderr, name
        assert "busy" in host.sandbox.rename(name.partition("/hooks")[0]), name
    lines = host.attacked(
        "git -C nested status; git -C deep/mod status; echo 'gitdir: x' > nested/.git/commondir;"
        f"cd nested; touch y; git add y; {GIT} commit -qm z; mkdir -p .git/modules/evil"
    )
    assert lines == [f"{host.root}/nested/.git/commondir: renamed to commondir.disarmed"]
    host.is_safe("git status", "git diff", "git submodule status")


def test_a_git_folder_of_links_is_read_only_as_a_whole(host: Host) -> None:
    """A link can't be covered, but the folder around it can."""
    host.prepare("GIT init -q x; mv x/.git/config shared; ln -s ../../shared x/.git/config")
    assert "Read-only" in host.sandbox.run("touch", "x/.git/new").stderr
    assert host.attacked("true") == []
    host.is_safe("git status", folder="x")


def test_files_that_the_project_trusts_are_read_only(host: Host) -> None:
    """The next run would trust the owner of a certificate that `agent.yaml` names."""
    host.prepare("mkdir certs; touch certs/ca.pem")
    host.sandbox.spec_fields["trusted_files"] = ("certs/ca.pem",)
    assert "Read-only" in host.sandbox.run("bash", "-c", "echo > certs/ca.pem").stderr
    assert "busy" in host.sandbox.rename("certs")


@pytest.mark.parametrize(("ours", "theirs"), [("agent", "moat"), ("moat", "agent")])
def test_no_second_configuration_is_put_beside_the_first(
    host: Host, ours: str, theirs: str
) -> None:
    """With both files there, the user's next run would not start."""
    host.prepare(f"touch {ours}.yaml")
    lines = host.attacked(f"echo > {theirs}.yaml")
    assert lines == [f"{host.root}/{theirs}.yaml: renamed to {theirs}.yaml.disarmed"]


NAMED = {
    "core.hooksPath .githooks": ".githooks/pre-commit",
    "core.hooksPath .husky/_": ".husky/pre-commit",
    "core.fsmonitor tools/fsm": "tools/fsm",
    "include.path ../shared.config": "shared.config",
    "includeIf.gitdir:/.path ../shared.config": "shared.config",
    "filter.x.clean 'sh \"tools/clean.sh\" %f'": "tools/clean.sh",
    "alias.x '!cd tools && python3 tools/x.py'": "tools/x.py",
}


@pytest.mark.parametrize("setting", NAMED)
def test_what_a_configuration_names_is_read_only(host: Host, setting: str) -> None:
    """Git on the host runs such programs in the workspace unasked."""
    name = NAMED[setting]
    host.prepare(f"mkdir -p {Path(name).parent} .husky/_; touch {name}; git config {setting}")
    assert "Read-only" in host.sandbox.run("bash", "-c", f"echo theirs > {name}").stderr
    assert "busy" in host.sandbox.rename(name.partition("/")[0])


def test_what_an_included_configuration_names_is_read_only(host: Host) -> None:
    """So is what the user's own configuration names in every repository."""
    host.prepare(
        "git config include.path ../one; git config -f one include.path more/two; mkdir more;"
        "git config -f more/two core.pager ./pager; touch pager;"
        "git config --global core.hooksPath hooks; mkdir hooks; touch linked;"
        "ln -s ../../linked .git/hooks/post-commit"
    )
    for name in ("more/two", "pager", "hooks/pre-commit", "linked"):
        assert "Read-only" in host.sandbox.run("bash", "-c", f"echo > {name}").stderr, name


def test_a_named_file_that_was_missing_goes_aside(host: Host) -> None:
    """The configuration includes it as soon as it exists."""
    host.prepare("git config include.path ../shared.config")
    lines = host.attacked("git config -f shared.config core.fsmonitor 'PAYLOAD'")
    host.is_safe(*EVERYDAY)
    assert lines == [f"{host.root}/shared.config: renamed to shared.config.disarmed"]


def test_a_file_that_the_user_replaced(host: Host) -> None:
    """`git config` on the host replaces the file, and the sandbox can write the new one.

    Earlier settings of the user's stay; new ones must be harmless.
    """
    host.prepare("git config filter.ours.clean cat; GIT init -q nested")
    host.prepare("printf '#!/bin/sh\n' > .git/hooks/post-commit; chmod +x .git/hooks/post-commit")
    script = "for f in .git nested/.git; do git config -f $f/config core.fsmonitor 'PAYLOAD'; done"
    hook = "printf '#!/bin/sh\nPAYLOAD' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit"
    host.sandbox.shell("true")  # takes the snapshot
    host.prepare(f"git config user.name me; {script}; {hook}".replace("PAYLOAD", host.payload))
    lines = clean_up(host.sandbox.folder).lines()
    host.is_safe("git status", "git diff", "git config filter.ours.clean", "git config user.name")
    host.is_safe("git status", folder="nested")
    host.is_safe("GIT commit -q --allow-empty -m y; test -x .git/hooks/post-commit")
    assert len(lines) == 3


def test_a_mounted_folder_is_cleaned_up_too(host: Host, tmp_path: Path) -> None:
    """A folder that the user mounted writable is treated as the workspace is."""
    other = tmp_path / "other"
    host.prepare(f"git init -q {other}")
    spec = host.sandbox.spec().mounts
    mount = Mount(str(other), "/other")
    host.sandbox.spec_fields["mounts"] = (*spec, mount)
    host.attacked(f"cd /other; {MAKE_LIB}; {ADD_LIB}; git -C lib config core.fsmonitor 'PAYLOAD'")
    host.is_safe("git status", folder=str(other))


@pytest.mark.parametrize("link", ["part/inner", "part"])
def test_a_mount_that_became_a_link_is_no_way_out(host: Host, tmp_path: Path, link: str) -> None:
    """It lies in the workspace, where the run can move it. Nothing is touched where the link leads."""
    mine = tmp_path / "mine" / "inner" / "lib"
    host.prepare(f"mkdir -p part/inner; GIT init -q {mine}; git -C {mine} config core.pager cat")
    target = mine.parent if link == "part/inner" else mine.parents[1]
    spec = host.sandbox.spec_fields.get("mounts", ())
    mount = Mount(str(host.root / "part/inner"), "/inner")
    host.sandbox.spec_fields["mounts"] = (*spec, mount)
    lines = host.attacked(
        f"{MAKE_LIB}; {ADD_LIB}; git -C lib config core.fsmonitor 'PAYLOAD';"
        f"mv part/inner moved; rm -rf {link}; ln -s {target} {link}"
    )
    assert [line.partition(": ")[0] for line in lines] == [f"{host.root}/lib/.git/config"]
    host.is_safe(*EVERYDAY)
    assert "pager" in (mine / ".git/config").read_text()


def test_nothing_is_cleaned_up_with_writable_git(host: Host) -> None:
    """The user asked for `--writable-git`."""
    host.sandbox.spec_fields["writable_git"] = True
    assert host.attacked(f"{MAKE_LIB}; git -C lib config core.pager x; touch .git/commondir") == []


def test_nothing_outside_is_touched(host: Host, tmp_path: Path) -> None:
    """Symbolic links are not followed, wherever they are."""
    outside = tmp_path / "outside"
    host.prepare(f"GIT init -q {outside}; git -C {outside} config core.pager cat")
    before = sorted((path, path.lstat().st_mtime_ns) for path in outside.rglob("*"))
    lines = host.attacked(
        f"ln -s {outside} link; mkdir -p a b/.git; ln -s {outside}/.git a/.git; {MAKE_LIB}; cd lib/.git;"
        f"rm -r hooks config; ln -s {outside}/.git/hooks; ln -s {outside}/.git/config;"
        f"cd ../..; cp -r lib/.git c; rm c/config; ln -s {outside}/.git/commondir c/commondir"
    )
    assert sorted((path, path.lstat().st_mtime_ns) for path in outside.rglob("*")) == before
    assert {line.partition(": renamed")[0].removeprefix(f"{host.root}/") for line in lines} == {
        *("a/.git", "lib/.git/hooks", "lib/.git/config", "c/hooks", "c/commondir"),
    }


def test_excluded_repositories_are_left_alone(host: Host) -> None:
    """The run couldn't see them."""
    host.prepare("GIT init -q secret; git -C secret config core.pager cat")
    host.sandbox.spec_fields["exclude"] = ("secret",)
    assert host.attacked("true") == []


def test_odd_names_are_reported_in_plain_text(host: Host) -> None:
    """The lines are shown on a terminal."""
    lines = host.attacked(r"""git init -q $'a\x1b]0;b\xff\nc'; cd a*; git config core.pager x""")
    assert len(lines) == 1
    assert lines[0].startswith(f"{host.root}/a?]0;b??c/.git/config: took out core.pager")


@pytest.mark.parametrize(
    "config",
    [
        "ln -s /dev/zero config",
        "mkfifo config",
        "mkdir config",
        "head -c 3000000 /dev/zero > config",
    ],
)
def test_a_configuration_that_is_no_file_goes_aside(host: Host, config: str) -> None:
    """Nothing blocks, and no more is read than a configuration may have."""
    lines = host.attacked(f"{MAKE_LIB}; cd lib/.git; rm config; {config}")
    assert lines == [f"{host.root}/lib/.git/config: renamed to config.disarmed"]


def test_a_run_is_cleaned_up_once(host: Host) -> None:
    """A supervisor and the program that the shim starts may both try."""
    assert host.attacked(f"{MAKE_LIB}; git -C lib config core.pager x")
    assert clean_up(host.sandbox.folder).lines() == []
    assert host.sandbox.folder.quarantine_report.read_text().count("\n") == 1


def test_a_home_that_stays_does_not_keep_the_workspace_from_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a way to the host by itself, and what could not be done is said."""

    def fail(_folder: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("moat.runs.private_folder.move_away", fail)
    lines = host.attacked("echo x > .git/commondir")
    private = host.sandbox.folder.private
    assert lines == [
        f"{host.root}/.git/commondir: renamed to commondir.disarmed",
        f"{private} can't be moved away (Permission denied): links in the workspace may lead there",
    ]


def test_the_report_is_bounded(host: Host) -> None:
    """A hostile run can cause any number of lines, and people and the record get a few."""
    lines = host.attacked(
        "for i in $(seq 120); do mkdir -p $i/objects $i/refs; touch $i/HEAD; mkdir $i/config; done"
    )
    assert len(lines) == 101
    assert lines[-1] == "and 20 more"


def test_a_pointer_that_was_there_is_put_back(host: Host) -> None:
    """A linked worktree lives by its `commondir`; another one in its place goes aside."""
    host.prepare("GIT worktree add -q tree; GIT init -q --bare fake")
    host.sandbox.shell("true")  # takes the snapshot
    host.prepare("cd .git/worktrees/tree; echo ../../../fake > new; mv new commondir")
    lines = clean_up(host.sandbox.folder).lines()
    assert lines == [f"{host.root}/.git/worktrees/tree/commondir: renamed to commondir.disarmed"]
    host.is_safe("git status", "git log -1", folder="tree")


def test_a_broken_configuration_keeps_what_git_could_read(host: Host) -> None:
    """Git stops at the first bad line, and so do the settings that stay."""
    lines = host.attacked(f"{MAKE_LIB}; echo '[user' >> lib/.git/config")
    lost = "took out what git could not read (as it was: config.disarmed)"
    assert lines == [f"{host.root}/lib/.git/config: {lost}"]
    host.is_safe("git log -1", folder="lib")


def test_more_folders_than_can_be_looked_at(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user is told to look before using git."""
    monkeypatch.setattr(discovery, "MAX_FOLDERS_AFTER", 2)
    (line,) = host.attacked("mkdir a b c")
    assert (
        line == f"{host.root} has too many folders to look at all of them: look before you use git"
    )


def test_dead_runs_are_cleaned_up(host: Host) -> None:
    """Neither a supervisor nor a sandbox may be left, and no supervisor may be starting."""
    run = host.sandbox.folder
    host.sandbox.shell("touch .git/commondir")
    planted = host.root / ".git" / "commondir"
    other = RunFolder(run.root.parent / "other")
    for path in (run.supervisor_lock, run.launch_lock):
        with lock.locked(path):
            clean_up_dead_runs([other, run], lambda _: False)
            assert planted.exists()
    clean_up_dead_runs([other, run], lambda _: True)
    assert planted.exists()
    clean_up_dead_runs([other, run], lambda _: False)
    assert not planted.exists()
    assert not lock.is_locked(run.launch_lock)
