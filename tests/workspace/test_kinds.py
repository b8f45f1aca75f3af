"""More attacks of the kinds that once ran a program on the host, each with a marker to leave there.

What git, direnv and Vim do is asked of the real programs, as the user would start them.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from moat.spec import ProtectedPath
from moat.workspace.cleanup import clean_up

if TYPE_CHECKING:
    from pathlib import Path

    from tests.workspace.host import Host

HOOK = "printf '#!/bin/sh\\nPAYLOAD' > {0}; chmod +x {0}"
MINE = "printf '#!/bin/sh\\n' > {0}; chmod +x {0}"
COMMIT = "GIT commit -q --allow-empty -m x"


# --- repositories around the workspace ---

AROUND = {
    "a submodule's folder": (
        """GIT init -q ../lib; GIT -C ../lib commit -q --allow-empty -m x; mkdir -p ../lib/in
        touch ../lib/in/x; git -C ../lib add in; GIT -C ../lib commit -qm y
        GIT submodule --quiet add $PWD/../lib lib; git -C lib config core.hooksPath in/hooks""",
        "lib/in",
        "mkdir -p hooks; " + HOOK.format("hooks/post-commit"),
        "lib",
    ),
    "a linked worktree's folder": (
        """GIT worktree add -q ../tree; mkdir ../tree/in; git config extensions.worktreeConfig true
        git -C ../tree config --worktree core.fsmonitor in/fsm""",
        "../tree/in",
        HOOK.format("fsm"),
        "../tree",
    ),
    "a repository in a repository": (
        """GIT init -q a; GIT init -q a/b; mkdir a/b/c; git config core.hooksPath $PWD/a/b/c/h""",
        "a/b/c",
        "mkdir -p h; " + HOOK.format("h/post-commit"),
        ".",
    ),
    "a folder that is a bare repository": (
        """git clone -q --bare . bare; mkdir bare/in; git -C bare config core.hooksPath in/hooks""",
        "bare/in",
        "mkdir -p hooks; " + HOOK.format("hooks/reference-transaction"),
        "bare",
    ),
}


@pytest.mark.parametrize("place", AROUND)
def test_what_a_repository_around_the_workspace_obeys(host: Host, place: str) -> None:
    """It names something in the workspace, which isn't there yet."""
    script, workspace, attack, folder = AROUND[place]
    host.prepare(script)
    host.sandbox.workspace = (host.root / workspace).resolve()
    host.attacked(f"({attack}) || true")
    host.is_safe("git status || true; GIT branch new; " + f"{COMMIT} || true", folder=folder)


# --- other names of protected files ---


HOOK_LINK = "ln -s ../tools/hook post-commit"

CHAINS = {
    "a link to a link": (
        "mkdir tools real; ln -s ../../tools/hook .git/hooks/post-commit;"
        "ln -s ../real/hook tools/hook; " + MINE.format("real/hook"),
        "mkdir -p evil; " + HOOK.format("evil/hook") + "; ln -sf ../evil/hook tools/hook",
    ),
    "a folder by a link": (
        "mkdir real; ln -s real tools; ln -s ../../tools/hook .git/hooks/post-commit;"
        + MINE.format("real/hook"),
        "mkdir evil; " + HOOK.format("evil/hook") + "; rm tools; ln -s evil tools",
    ),
    "a folder in the place of a link": (
        "mkdir real; ln -s real tools; ln -s ../../tools/hook .git/hooks/post-commit;"
        + MINE.format("real/hook"),
        "rm tools; mkdir tools; " + HOOK.format("tools/hook"),
    ),
    "the folder of a link is moved": (
        "mkdir -p a real; ln -s ../../a/hook .git/hooks/post-commit; ln -s ../real/hook a/hook;"
        + MINE.format("real/hook"),
        "mv a b || true; mkdir -p evil; " + HOOK.format("evil/hook") + "; ln -s evil a || true",
    ),
    "a link to nothing": (
        "mkdir build; ln -s ../../build/hook .git/hooks/post-commit",
        HOOK.format("build/hook"),
    ),
    "a link in a folder of hooks": (
        "git config core.hooksPath .githooks; mkdir .githooks tools;"
        "ln -s ../tools/hook .githooks/post-commit; ln -s real tools/hook; "
        + MINE.format("tools/real"),
        HOOK.format("tools/evil") + "; ln -sf evil tools/hook",
    ),
    "a link in a folder of hooks to nothing": (
        "git config core.hooksPath .githooks; mkdir .githooks tools; cd .githooks;" + HOOK_LINK,
        HOOK.format("tools/hook"),
    ),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_links_to_hooks_lead_where_they_led(host: Host, chain: str) -> None:
    """A link can't be covered, so it is put back at the end."""
    before, attack = CHAINS[chain]
    host.prepare(before)
    host.attacked(attack)
    host.is_safe(f"{COMMIT} || true")


def test_a_hook_that_links_lead_to_still_works(host: Host) -> None:
    """The user's own hook is run after an attack on the link to it."""
    before, attack = CHAINS["a link to a link"]
    host.prepare(f"{before}; echo 'touch mine' >> real/hook")
    lines = host.attacked(attack)
    assert lines == [f"{host.root}/tools/hook: renamed to hook.disarmed, and put back"]
    host.is_safe(f"{COMMIT}; test -e mine")


HARD = {
    "a hook of a submodule": (
        """GIT init -q ../lib; GIT -C ../lib commit -q --allow-empty -m x
        GIT submodule --quiet add $PWD/../lib lib;"""
        + MINE.format("hook")
        + """
        ln hook .git/modules/lib/hooks/post-commit""",
        "lib",
    ),
    "a hook of a nested repository": (
        "GIT init -q lib; " + MINE.format("hook") + "; ln hook lib/.git/hooks/post-commit",
        "lib",
    ),
    "a hook in a folder of hooks": (
        "git config core.hooksPath h; mkdir h; " + MINE.format("hook") + "; ln hook h/post-commit",
        ".",
    ),
    "a hook deep in a folder of hooks": (
        "git config core.hooksPath h; mkdir -p h/a; "
        + MINE.format("hook")
        + "; ln hook h/a/b; printf '#!/bin/sh\\nh/a/b' > h/post-commit; chmod +x h/post-commit",
        ".",
    ),
}


@pytest.mark.parametrize("place", HARD)
def test_a_hook_with_a_second_name(host: Host, place: str) -> None:
    """The name that git runs gets a copy of its own before the run."""
    script, folder = HARD[place]
    host.prepare(script)
    host.attacked("echo 'PAYLOAD' >> hook")
    host.is_safe(COMMIT, folder=folder)


def test_a_second_name_that_the_user_makes_during_the_run(host: Host) -> None:
    """The run writes the file through it; git's files are put aside, others are named."""
    host.prepare("touch .envrc; " + MINE.format(".git/hooks/post-commit"))
    ours = ["ln .envrc a; ln .git/hooks/post-commit b; ln .git/config c"]
    attack = "echo 'PAYLOAD' | tee -a a >> b; git config -f c core.fsmonitor 'PAYLOAD'"
    host.sandbox.run("bash", "-ec", attack.replace("PAYLOAD", host.payload), before=ours)
    lines = clean_up(host.sandbox.folder).lines()
    assert lines[-1] == f"{host.root}: new or changed, and obeyed unasked: .envrc (direnv)"
    host.is_safe("git status", COMMIT)


# --- shells and editors ---


def test_direnv_runs_nothing_of_the_runs(host: Host) -> None:
    """An `.envrc` that was allowed sources another file; a new `.envrc` isn't allowed by anybody."""
    host.prepare("mkdir pkg; echo 'source_env_if_exists .envrc.local' > .envrc; touch .envrc.local")
    host.prepare("direnv allow .")
    host.attacked(
        "echo 'PAYLOAD' | tee -a .envrc >> .envrc.local || true; echo 'PAYLOAD' > pkg/.envrc"
    )
    host.is_safe("direnv exec . true", "direnv exec pkg true || true")


def test_a_file_that_an_envrc_sources_is_named_if_it_is_new(host: Host) -> None:
    """It can't be covered before it exists."""
    host.prepare("echo 'source_env_if_exists .envrc.local' > .envrc")
    assert host.attacked("echo 'PAYLOAD' > .envrc.local") == [
        f"{host.root}: new or changed, and obeyed unasked: .envrc.local (direnv)"
    ]


@pytest.mark.parametrize("name", [".vimrc", ".exrc"])
def test_vim_runs_nothing_of_the_runs(host: Host, name: str) -> None:
    """With 'exrc' set, Vim obeys such a file of the user's in the folder where it is started."""
    host.prepare(f"touch {name}; ln {name} other")
    host.attacked(f"echo 'call system(\"PAYLOAD\")' | tee other >> {name} || true")
    host.is_safe("vim -e -s --cmd 'set exrc' -c 'qa!' file < /dev/null || true")


# --- the user's own rows ---


def test_paths_of_the_settings_are_protected_like_others(host: Host) -> None:
    """At any depth, with stars in any part; a run can't change them, and new ones are named."""
    host.sandbox.spec_fields["protected_paths"] = (
        ProtectedPath("deploy-*/s*/run.*", "our deployment"),
        ProtectedPath("notes", "the team", "watched"),
    )
    host.prepare("mkdir -p a/deploy-x/sub deploy-y/s; touch a/deploy-x/sub/run.sh notes")
    assert "Read-only" in host.sandbox.run("sh", "-c", "echo > a/deploy-x/sub/run.sh").stderr
    assert "busy" in host.sandbox.rename("a")
    (line,) = host.attacked("echo > notes; touch deploy-y/s/run.py deploy-y/run.py")
    assert sorted(line.partition(" unasked: ")[2].split(", ")) == [
        *("deploy-y/s/run.py (our deployment)", "notes (the team)"),
    ]


def test_paths_of_the_settings_hold_in_mounts(host: Host, tmp_path: Path) -> None:
    """A folder that the user mounts writable is treated as the workspace is."""
    from moat.spec import Mount  # noqa: PLC0415

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret.plan").write_text("ours")
    host.sandbox.spec_fields["protected_paths"] = (ProtectedPath("*.plan", "us"),)
    host.sandbox.spec_fields["mounts"] = (Mount(str(tmp_path / "other"), "/other"),)
    done = host.sandbox.run("sh", "-c", "echo theirs > /other/secret.plan")
    assert "Read-only" in done.stderr
    assert PurePosixPath("secret.plan").name in host.sandbox.shell("ls /other")
