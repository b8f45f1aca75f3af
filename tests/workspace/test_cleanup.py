"""What a run leaves for the host's git to obey: the host runs nothing, and loses nothing.

Every attack is made in a real sandbox, and every question asked of the real git, on the host.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moat.spec import Mount
from moat.workspace.cleanup import clean_up

if TYPE_CHECKING:
    from tests.sandbox import Sandbox

GIT = (
    "git -c user.name=a -c user.email=a@b -c init.defaultBranch=main -c protocol.file.allow=always"
)
MAKE_LIB = f"git init -q lib; {GIT} -C lib commit -q --allow-empty -m x"
ADD_LIB = "git -c advice.addEmbeddedRepo=false add lib"


@dataclass
class Host:
    """The user, who has a repository as the workspace, and git."""

    sandbox: Sandbox
    root: Path
    marker: Path

    @property
    def order(self) -> str:
        """A program for git to run, on the host alone: its folder is not there in a sandbox."""
        return f"touch {self.marker}; false"

    def prepare(self, script: str) -> None:
        """What the user did before the run."""
        done = self._shell(script, self.root)
        assert done.returncode == 0, done.stderr

    def attacked(self, script: str) -> list[str]:
        """A run, to its end; what is said of it."""
        self.sandbox.shell(script.replace("ORDER", self.order))
        return clean_up(self.sandbox.folder)

    def is_safe(self, *commands: str, folder: str = ".") -> None:
        """Gives the commands, which must work, and run nothing of the sandbox's."""
        for command in commands:
            done = self._shell(command, self.root / folder)
            assert not self.marker.exists(), f"{command} ran what the sandbox ordered"
            assert done.returncode == 0, f"{command}: {done.stderr}"

    def _shell(self, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.sandbox.home),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        return subprocess.run(
            ["bash", "-ec", script.replace("GIT", GIT)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )


@pytest.fixture
def host(sandbox: Sandbox, repository: Path, tmp_path: Path) -> Host:
    host = Host(sandbox, repository, tmp_path / "ran")
    host.prepare("echo x > file; git add file; GIT commit -q -m first")
    return host


EVERYDAY = ("git status", "git diff", "git diff HEAD", "git add -A", "git status")


def test_a_repository_in_the_index_orders_nothing(host: Host) -> None:
    """Git asks every repository that it finds in the index how it is, and obeys its configuration."""
    said = host.attacked(f"{MAKE_LIB}; git -C lib config core.fsmonitor 'ORDER'; {ADD_LIB}")
    host.is_safe(*EVERYDAY)
    host.is_safe("git log -1", "git status", folder="lib")
    assert said == [
        f"{host.root}/lib/.git/config: took out core.fsmonitor (as it was: config.disarmed)"
    ]
    assert "ran" in (host.root / "lib/.git/config.disarmed").read_text()


def test_nor_does_one_that_the_user_adds(host: Host) -> None:
    """`git add .` puts it into the index, and the next `git status` goes into it."""
    host.attacked(f"{MAKE_LIB}; git -C lib config core.fsmonitor 'ORDER'")
    host.is_safe("git add . 2>/dev/null", *EVERYDAY)


def test_an_honest_clone_stays_as_it_is(host: Host) -> None:
    """What clones and worktrees live by is harmless, and nothing is said of it."""
    said = host.attacked(
        "git clone -q . copy; git -C copy config user.email a@b; git -C copy checkout -q -b other;"
        "git -C copy branch -q --set-upstream-to origin/main; git worktree add -q tree;"
        "git init -q --separate-git-dir apart split"
    )
    assert said == []
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
    "by an include": """MAKE; git config -f evil core.fsmonitor 'ORDER'
        git -C lib config include.path ../../evil""",
    "in the worktree's configuration": """MAKE; git -C lib config extensions.worktreeConfig true
        git -C lib config --worktree core.fsmonitor 'ORDER'""",
    "with a broken rest": """MAKE; CONFIG; echo '[' >> lib/.git/config.x""",
    "by a filter": """MAKE; echo '* filter=evil' > lib/.gitattributes; echo x > lib/y
        git -C lib add .; git -C lib config filter.evil.clean 'ORDER'; touch lib/y""",
    "two levels down": """MAKE; CONFIG; git init -q top; mv lib top/lib
        git -C top -c advice.addEmbeddedRepo=false add lib; GIT -C top commit -q -m y
        git -c advice.addEmbeddedRepo=false add top""",
    "in an ignored folder": """MAKE; CONFIG; echo lib > .gitignore""",
}


@pytest.mark.parametrize("way", SMUGGLED)
def test_no_way_around(host: Host, way: str) -> None:
    """However git on the host would come to what the sandbox orders."""
    script = SMUGGLED[way].replace("MAKE", f"{MAKE_LIB}; {ADD_LIB}").replace("GIT ", f"{GIT} ")
    host.attacked(script.replace("CONFIG", "git -C lib config core.fsmonitor 'ORDER'"))
    host.is_safe("set +e; git status; git diff; git add -A; git status; git diff HEAD; true")


def test_hooks_of_its_making_are_not_run(host: Host) -> None:
    """Those of a repository that is new; an example is none."""
    said = host.attacked(
        f"{MAKE_LIB}; printf '#!/bin/sh\nORDER' > lib/.git/hooks/pre-commit;"
        "chmod +x lib/.git/hooks/pre-commit; touch lib/.git/hooks/x.sample"
    )
    host.is_safe("GIT commit -q --allow-empty -m y", folder="lib")
    assert said == [f"{host.root}/lib/.git/hooks/pre-commit: renamed to pre-commit.disarmed"]


def test_a_folder_that_became_a_repository_orders_nothing(host: Host) -> None:
    """Git takes any folder for a bare repository that looks like one, and looks upwards for it."""
    host.prepare("mkdir -p docs/more")
    host.attacked(
        "git init -q --bare b; mv b/* docs; git -C docs config core.bare false;"
        "git -C docs config core.fsmonitor 'ORDER'; git -C docs config core.worktree .."
    )
    host.is_safe("git status", folder="docs/more")


def test_where_no_repository_was_none_orders_anything(host: Host) -> None:
    """The whole workspace may become one."""
    host.prepare("rm -rf .git")
    host.attacked("git init -q; git config core.fsmonitor 'ORDER'; git config user.name a")
    host.is_safe("git status; git config user.name")


def test_a_planted_commondir_goes_aside(host: Host) -> None:
    """The host's git is not sent to a folder that the agent made; a folder in its place goes, too."""
    said = host.attacked(
        "git init -q --bare fake; git -C fake config core.fsmonitor 'ORDER';"
        "git -C fake config core.bare false; cp -r .git/objects .git/refs fake;"
        "echo ../fake > .git/commondir; mkdir .git/config.worktree"
    )
    host.is_safe(*EVERYDAY)
    assert f"{host.root}/.git/commondir: renamed to commondir.disarmed" in said
    assert f"{host.root}/.git/config.worktree: renamed to config.worktree.disarmed" in said


def test_repositories_that_were_there_are_read_only(host: Host) -> None:
    """Nested ones, submodules and worktrees, and the files that name them."""
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
    said = host.attacked(
        "git -C nested status; git -C deep/mod status; echo 'gitdir: x' > nested/.git/commondir;"
        f"cd nested; touch y; git add y; {GIT} commit -qm z; mkdir -p .git/modules/evil"
    )
    assert said == [f"{host.root}/nested/.git/commondir: renamed to commondir.disarmed"]
    host.is_safe("git status", "git diff", "git submodule status")


def test_a_git_folder_of_links_is_read_only_as_a_whole(host: Host) -> None:
    """A link can't be covered, and the folder that it is in can."""
    host.prepare("GIT init -q x; mv x/.git/config shared; ln -s ../../shared x/.git/config")
    assert "Read-only" in host.sandbox.run("touch", "x/.git/new").stderr
    assert host.attacked("true") == []
    host.is_safe("git status", folder="x")


def test_files_that_the_project_trusts_are_read_only(host: Host) -> None:
    """Certificates that `agent.yaml` names: the next run would believe whom they belong to."""
    host.prepare("mkdir certs; touch certs/ca.pem")
    host.sandbox.spec_fields["trusted_files"] = ("certs/ca.pem",)
    assert "Read-only" in host.sandbox.run("bash", "-c", "echo > certs/ca.pem").stderr
    assert "busy" in host.sandbox.rename("certs")


@pytest.mark.parametrize(("ours", "theirs"), [("agent", "moat"), ("moat", "agent")])
def test_no_second_configuration_is_put_beside_the_first(
    host: Host, ours: str, theirs: str
) -> None:
    """With both of them the user's next run would not start."""
    host.prepare(f"touch {ours}.yaml")
    said = host.attacked(f"echo > {theirs}.yaml")
    assert said == [f"{host.root}/{theirs}.yaml: renamed to {theirs}.yaml.disarmed"]


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
    """Programs in the workspace that the host's git runs unasked."""
    name = NAMED[setting]
    host.prepare(f"mkdir -p {Path(name).parent} .husky/_; touch {name}; git config {setting}")
    assert "Read-only" in host.sandbox.run("bash", "-c", f"echo theirs > {name}").stderr
    assert "busy" in host.sandbox.rename(name.partition("/")[0])


def test_what_an_included_configuration_names_is_read_only(host: Host) -> None:
    """And what the user's own configuration names in whatever repository."""
    host.prepare(
        "git config include.path ../one; git config -f one include.path more/two; mkdir more;"
        "git config -f more/two core.pager ./pager; touch pager;"
        "git config --global core.hooksPath hooks; mkdir hooks; touch linked;"
        "ln -s ../../linked .git/hooks/post-commit"
    )
    for name in ("more/two", "pager", "hooks/pre-commit", "linked"):
        assert "Read-only" in host.sandbox.run("bash", "-c", f"echo > {name}").stderr, name


def test_a_named_file_that_was_missing_goes_aside(host: Host) -> None:
    """The configuration includes it as soon as it is there."""
    host.prepare("git config include.path ../shared.config")
    said = host.attacked("git config -f shared.config core.fsmonitor 'ORDER'")
    host.is_safe(*EVERYDAY)
    assert said == [f"{host.root}/shared.config: renamed to shared.config.disarmed"]


def test_a_cover_that_the_user_took_away(host: Host) -> None:
    """`git config` on the host replaces the file, and the sandbox can write what is there then.

    What the user's configuration said before stays; what is new in it must be harmless.
    """
    host.prepare("git config filter.ours.clean cat; GIT init -q nested")
    host.prepare("printf '#!/bin/sh\n' > .git/hooks/post-commit; chmod +x .git/hooks/post-commit")
    script = "for f in .git nested/.git; do git config -f $f/config core.fsmonitor 'ORDER'; done"
    hook = "printf '#!/bin/sh\nORDER' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit"
    host.sandbox.shell("true")  # remembers
    host.prepare(f"git config user.name me; {script}; {hook}".replace("ORDER", host.order))
    said = clean_up(host.sandbox.folder)
    host.is_safe("git status", "git diff", "git config filter.ours.clean", "git config user.name")
    host.is_safe("git status", folder="nested")
    host.is_safe("GIT commit -q --allow-empty -m y; test -x .git/hooks/post-commit")
    assert len(said) == 3


def test_a_mounted_folder_is_looked_after_too(host: Host, tmp_path: Path) -> None:
    """One that the user opened for writing."""
    other = tmp_path / "other"
    host.prepare(f"git init -q {other}")
    spec = host.sandbox.spec().mounts
    mount = Mount(str(other), "/other")
    host.sandbox.spec_fields["mounts"] = (*spec, mount)
    host.attacked(f"cd /other; {MAKE_LIB}; {ADD_LIB}; git -C lib config core.fsmonitor 'ORDER'")
    host.is_safe("git status", folder=str(other))


def test_nothing_is_looked_after_where_git_may_be_written(host: Host) -> None:
    """`--writable-git` means it."""
    host.sandbox.spec_fields["writable_git"] = True
    assert host.attacked(f"{MAKE_LIB}; git -C lib config core.pager x; touch .git/commondir") == []


def test_nothing_outside_is_touched(host: Host, tmp_path: Path) -> None:
    """Links are not followed, wherever they are."""
    outside = tmp_path / "outside"
    host.prepare(f"GIT init -q {outside}; git -C {outside} config core.pager cat")
    before = sorted((path, path.lstat().st_mtime_ns) for path in outside.rglob("*"))
    said = host.attacked(
        f"ln -s {outside} link; mkdir -p a b/.git; ln -s {outside}/.git a/.git; {MAKE_LIB}; cd lib/.git;"
        f"rm -r hooks config; ln -s {outside}/.git/hooks; ln -s {outside}/.git/config;"
        f"cd ../..; cp -r lib/.git c; rm c/config; ln -s {outside}/.git/commondir c/commondir"
    )
    assert sorted((path, path.lstat().st_mtime_ns) for path in outside.rglob("*")) == before
    assert {line.partition(": renamed")[0].removeprefix(f"{host.root}/") for line in said} == {
        *("a/.git", "lib/.git/hooks", "lib/.git/config", "c/hooks", "c/commondir"),
    }


def test_excluded_repositories_are_left_alone(host: Host) -> None:
    """The run could not see them."""
    host.prepare("GIT init -q secret; git -C secret config core.pager cat")
    host.sandbox.spec_fields["exclude"] = ("secret",)
    assert host.attacked("true") == []


def test_a_run_that_wrote_odd_names_is_told_of_in_plain_text(host: Host) -> None:
    """The lines are for a terminal."""
    said = host.attacked(r"""git init -q $'a\x1b]0;b\xff\nc'; cd a*; git config core.pager x""")
    assert len(said) == 1
    assert said[0].startswith(f"{host.root}/a?]0;b??c/.git/config: took out core.pager")


@pytest.mark.parametrize(
    "config",
    [
        "ln -s /dev/zero config",
        "mkfifo config",
        "mkdir config",
        "head -c 3000000 /dev/zero > config",
    ],
)
def test_what_is_no_configuration_goes_aside(host: Host, config: str) -> None:
    """Nothing is waited for, and no more is read than a configuration may have."""
    said = host.attacked(f"{MAKE_LIB}; cd lib/.git; rm config; {config}")
    assert said == [f"{host.root}/lib/.git/config: renamed to config.disarmed"]


def test_it_is_done_once(host: Host) -> None:
    """A supervisor and what the shim starts may both come to it."""
    assert host.attacked(f"{MAKE_LIB}; git -C lib config core.pager x")
    assert clean_up(host.sandbox.folder) == []
    assert host.sandbox.folder.quarantine_report.read_text().count("\n") == 1
