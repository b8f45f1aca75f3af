"""The user's identity for git in a sandbox: the text of its /etc/gitconfig.

The user's own configurations are read, and whatever they include for the workspace. Git isn't asked: it
would look into the workspace for a repository, and the configuration there may be a run's. For the same
reason conditions about a repository's branch and remotes hold nowhere.

Nothing is signed in a sandbox, for keys are on the host.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.workspace import git_config
from moat.workspace.git_config import Entry
from moat.workspace.git_layout import GIT
from moat.workspace.git_references import own_configs

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM: Final = Path("/etc/gitconfig")

_CARRIED: Final = frozenset(
    (
        *("user.name", "user.email", "user.useconfigonly", "init.defaultbranch"),
        *("author.name", "author.email", "committer.name", "committer.email"),
    )
)
_UNSIGNED: Final = tuple(
    Entry(section, None, key, "false")
    for section, key in (
        ("commit", "gpgsign"),
        ("tag", "gpgsign"),
        ("tag", "forcesignannotated"),
        ("push", "gpgsign"),
    )
)
_SIGNING: Final = frozenset(entry.name for entry in _UNSIGNED)
_MAX_BYTES: Final = 1024 * 1024
_MAX_DEPTH: Final = 10  # as git has it
_MAX_FILES: Final = 100


def config_for(workspace: Path) -> str:
    """Return the text of the sandbox's /etc/gitconfig: the host's, the user's identity, no signing."""
    return f"{_public(SYSTEM)}\n{git_config.render((*_carried(workspace).values(), *_UNSIGNED))}"


def name_and_email(workspace: Path) -> tuple[str, str]:
    """Return the user's name and address, each empty where no configuration has it.

    They are for programs that keep git from reading any configuration but the repository's.
    """
    found = _carried(workspace)
    name, email = (found.get(each) for each in ("user.name", "user.email"))
    return (name.value if name else "", email.value if email else "")


def _carried(workspace: Path) -> dict[str, Entry]:
    """Return the entries that are carried into the sandbox, by their names."""
    reader = _Reader(workspace)
    return {
        entry.name: entry
        for file in (SYSTEM, *own_configs())
        for entry in reader.entries(file)
        if entry.name in _CARRIED
    }


def unsigned(config: str) -> str:
    """Return the text of a repository's configuration, with lines that let nothing be signed.

    They are added only where the configuration asks for signatures.
    """
    if not any(entry.name in _SIGNING for entry in git_config.parse(config)[0]):
        return config
    return f"{config}\n{git_config.render(_UNSIGNED)}"


def _public(system: Path) -> str:
    """Return the system's configuration if everybody may read it, as `etc_files` copies /etc."""
    try:
        return _text(system) if system.stat().st_mode & 0o004 else ""
    except OSError:
        return ""


class _Reader:
    """A reader of configurations that holds in one workspace, and reads no more files than are sane."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._files_left = _MAX_FILES

    def entries(self, file: Path, depth: int = 0) -> Iterator[Entry]:
        """Yield the entries of a configuration, with those of each include in its place."""
        if self._files_left == 0:
            return
        self._files_left -= 1
        for entry in git_config.parse(_text(file))[0]:
            if entry.section not in {"include", "includeif"} or entry.key != "path":
                yield entry
            elif depth < _MAX_DEPTH and _holds(entry, file.parent, self._workspace):
                path = os.path.expanduser(entry.value)  # noqa: PTH111  leaves unknown users
                yield from self.entries(file.parent / path, depth + 1)


def _text(file: Path) -> str:
    """Return the text of the user's file; what can't be read is as good as empty, as git has it."""
    try:
        if not file.is_file():
            return ""
        with file.open(errors="replace", newline="") as opened:
            return opened.read(_MAX_BYTES)
    except OSError:
        return ""


def _holds(include: Entry, folder: Path, workspace: Path) -> bool:
    """Return whether an include of a configuration in `folder` holds in the workspace's repository."""
    if include.subsection is None:
        return include.section == "include"
    kind, _, pattern = include.subsection.partition(":")
    if kind not in {"gitdir", "gitdir/i"}:
        return False
    flags = re.IGNORECASE if kind == "gitdir/i" else 0
    expression = re.compile(_expression(_absolute(pattern, folder)), flags | re.DOTALL)
    git = workspace / GIT
    return any(expression.fullmatch(path) for path in (os.path.realpath(git), str(git)))


def _absolute(pattern: str, folder: Path) -> str:
    """Return a pattern in full (git-config(1), "Conditional includes")."""
    if pattern.startswith("./"):
        pattern = f"{os.path.realpath(folder)}{pattern[1:]}"
    elif pattern.startswith("~/"):
        pattern = f"{os.path.realpath(Path.home())}{pattern[1:]}"
    if not pattern.startswith("/"):
        pattern = f"**/{pattern}"
    return f"{pattern}**" if pattern.endswith("/") else pattern


_WILDCARDS: Final = (
    (r"(?<=/)\*\*/", "(?:.*/)?"),
    (r"^\*\*/", "(?:.*/)?"),
    (r"(?<=/)\*\*$", ".*"),
    (r"\*+", "[^/]*"),
    (r"\?", "[^/]"),
    (r"\[[!^]\]?[^]/]*\]|\[\]?[^]/]*\]", ""),
    (r"\\.", ""),
    (r"[^*?\[\\]+|[\[\\]", ""),
)
_TOKEN: Final = re.compile("|".join(f"({pattern})" for pattern, _ in _WILDCARDS), re.DOTALL)
_CLASS, _ESCAPED = 6, 7


def _expression(pattern: str) -> str:
    """Return the regular expression that matches what a pattern of git's wildmatch does."""
    return "".join(map(_translated, _TOKEN.finditer(pattern)))


def _translated(token: re.Match[str]) -> str:
    kind, text = token.lastindex or 0, token[0]
    if fixed := _WILDCARDS[kind - 1][1]:
        return fixed
    if kind == _CLASS:
        negated = text[1] in "!^"
        members = text[2 if negated else 1 : -1]
        inside = re.sub(r"([\\\[\]^&~|])", r"\\\1", members)
        return f"(?!/)[{'^' if negated else ''}{inside}]"
    return re.escape(text[1:] if kind == _ESCAPED else text)
