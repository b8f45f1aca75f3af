"""The host's git, asked about a repository of the user's.

A repository's configuration names programs, and so git runs them. What a run leaves there for git to
obey is quarantined at its end. Until then the run can plant it: a `.git/commondir`, say, and a filter
that the next checkout would start. So while any run is at work git gets a sandbox of its own, where it
can write the repository and the new worktree, has no network, and sees nothing of the user's. What it is
made to start there can do no more than the run itself. Hooks and the file system monitor are always off.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

from moat.errors import MoatError
from moat.ground import programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from moat.runs.store import Store

_TIMEOUT_S: Final = 300.0
_OFF: Final = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")

# No /proc: through it a process of root's could change the mode of the host's bwrap.
_NAMESPACES: Final = (
    *("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
    *("--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin", "--setenv", "LC_ALL", "C"),
    *("--setenv", "HOME", "/tmp", "--tmpfs", "/tmp"),  # noqa: S108  the sandbox's own
)
_ETC: Final = (
    *("passwd", "group", "nsswitch.conf", "localtime", "alternatives"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
)
_CONFIGURATION: Final = ("/usr/etc", "/usr/local/etc")
"""Folders of software in which there may be secrets."""


class GitError(MoatError):
    """Git has refused something; the summary is its reason."""


class Git:
    """The host's git, in one folder."""

    def __init__(
        self, store: Store, folder: Path, chosen: Mapping[str, str], *, beside: Path | None = None
    ) -> None:
        """`chosen`: paths of programs, by the user's settings. `beside`: the folder of a worktree.

        Raises `MoatError` without a git.
        """
        found = programs.search("git", chosen.get("git", "")).path
        if found is None:
            raise MoatError("there is no git on this machine", "Install it; see moat doctor")
        self._program = found
        self._store = store
        self._folder = folder
        self._chosen = chosen
        self._beside = beside

    def __call__(self, *words: str) -> str:
        """Return what git prints. Raises `GitError`, and `MoatError` without a sandbox for it."""
        command = [self._program, *_OFF, "-C", str(self._folder), *words]
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _is_any_at_work(self._store):
                command = [*self._sandbox(null), *command]
            done = subprocess.run(
                command,
                env={**_environment(), "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
                pass_fds=(null,),
            )
        except subprocess.TimeoutExpired as exc:
            raise GitError(f"git {words[0]} took longer than {_TIMEOUT_S:g} s") from exc
        finally:
            os.close(null)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise GitError(said[-1].removeprefix("fatal: "))
        return done.stdout.decode(errors="surrogateescape").rstrip("\n")

    def knows(self, *words: str) -> bool:
        """Tell whether git does what it is asked without an error."""
        try:
            self(*words)
        except GitError:
            return False
        return True

    def _sandbox(self, null: int) -> list[str]:
        """Return bubblewrap's command line up to git's; `null` is an empty file."""
        bwrap = programs.search("bwrap", self._chosen.get("bwrap", "")).path
        if bwrap is None:
            raise MoatError(
                "runs are at work, and there is no bwrap to keep git from obeying what they write",
                "Install bubblewrap, or wait for the end of all runs: moat list",
            )
        mounts = (*_software(null), *self._own_mounts())
        return [bwrap, *_NAMESPACES, *mounts, "--"]

    def _own_mounts(self) -> Iterator[str]:
        from moat.workspace.git_layout import repository_of_worktree  # noqa: PLC0415  loads slowly

        yield from ("--ro-bind-try", self._program, self._program)
        for folder in (self._folder, repository_of_worktree(self._folder), self._beside):
            if folder is not None and folder.is_dir():
                yield from ("--bind", str(folder), str(folder))
        if self._beside is not None:
            for file in self._beside.glob("*.json"):
                yield from ("--ro-bind", str(file), str(file))


def _software(null: int) -> Iterator[str]:
    """Yield the mounts of the host's programs; the file `null` becomes /dev/null."""
    from moat.engines.under_shim.places import SYSTEM_FOLDERS  # noqa: PLC0415  loads slowly

    for folder in SYSTEM_FOLDERS:
        if folder.is_symlink():
            yield from ("--symlink", str(folder.readlink()), str(folder))
        elif folder.is_dir() and str(folder) != "/opt":  # nothing of git's, and many a secret
            yield from ("--ro-bind", str(folder), str(folder))
    for hidden in filter(os.path.isdir, _CONFIGURATION):
        yield from ("--tmpfs", hidden)
    for name in _ETC:
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    # Not the host's device, of which root could change the mode: a file of the sandbox's own.
    yield from ("--perms", "0666", "--file", str(null), "/dev/null")


def _is_any_at_work(store: Store) -> bool:
    """Tell whether there is a run that can write, or has written what nobody has looked at yet."""
    return any(
        not run.ended or store.folder(run.id).workspace_snapshot.exists() for run in store.all()
    )


def _environment() -> dict[str, str]:
    """Return the user's variables without those that lead git to another repository."""
    return {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
