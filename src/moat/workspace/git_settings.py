"""Git settings by what they make git do: harmless ones, and those that name programs and files. Pure.

Git runs programs that its configuration names, so a configuration that a run wrote must not be obeyed
as it is. `is_harmless` consults a list of what may stay: the settings that clones and worktrees live
by. A setting that isn't on the list is taken out, and so is whatever a later git invents.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moat.workspace import git_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.workspace.git_config import Entry

_HARMLESS: Final = frozenset(
    (
        # The repository and the files in its worktree.
        *("core.repositoryformatversion", "core.bare", "core.filemode", "core.symlinks"),
        *("core.ignorecase", "core.precomposeunicode", "core.logallrefupdates", "core.longpaths"),
        *("core.autocrlf", "core.eol", "core.safecrlf", "core.quotepath", "core.abbrev"),
        *("core.untrackedcache", "core.preloadindex", "core.commitgraph", "feature.manyfiles"),
        *("core.sparsecheckout", "core.sparsecheckoutcone", "index.sparse", "index.version"),
        *("extensions.objectformat", "extensions.compatobjectformat", "extensions.refstorage"),
        *("extensions.worktreeconfig", "extensions.relativeworktrees", "extensions.noop"),
        # Remotes and branches, without `promisor`: it makes even `git status` use the network.
        *("remote.*.url", "remote.*.pushurl", "remote.*.fetch", "remote.*.push"),
        *("remote.*.tagopt", "remote.*.prune", "remote.*.mirror", "remote.pushdefault"),
        *("branch.*.remote", "branch.*.merge", "branch.*.rebase", "branch.*.pushremote"),
        *("branch.*.description", "submodule.active", "submodule.*.url", "submodule.*.active"),
        *("submodule.*.branch", "submodule.*.ignore"),
        # Marks of git-lfs, gh and editors.
        *("lfs.repositoryformatversion", "lfs.*.access", "remote.*.gh-resolved"),
        *("branch.*.gh-merge-base", "branch.*.vscode-merge-base"),
        # Identities and preferences.
        *("user.name", "user.email", "author.name", "author.email"),
        *("committer.name", "committer.email", "commit.gpgsign", "tag.gpgsign"),
        *("pull.rebase", "pull.ff", "push.default", "push.autosetupremote", "fetch.prune"),
        *("merge.ff", "init.defaultbranch", "gc.auto", "color.ui", "rerere.enabled"),
    )
)

_PROGRAM_KEYS: Final = frozenset(
    (
        *("hookspath", "fsmonitor", "sshcommand", "pager", "editor", "askpass", "gitproxy"),
        *("alternaterefscommand", "clean", "smudge", "process", "command", "cmd", "textconv"),
        *("external", "driver", "helper", "program", "difffilter", "update", "uploadpack"),
        *("receivepack", "packobjectshook", "templatedir", "defaultkeycommand", "path"),
        *("sslcainfo", "sslcapath", "excludesfile", "attributesfile", "allowedsignersfile"),
        *("tocmd", "cccmd", "smtpserver"),
    )
)
"""Keys, in any section, whose value is a program, or a file or folder that git obeys."""

_PROGRAM_SECTIONS: Final = frozenset(("alias", "pager", "include", "includeif"))

NAMING_WORDS: Final = _PROGRAM_KEYS | _PROGRAM_SECTIONS
"""Words of which a configuration has one, in upper or lower case, if it names anything."""

_PATH_KEYS: Final = frozenset(
    (
        *("hookspath", "templatedir", "path", "sslcainfo", "sslcapath"),
        *("excludesfile", "attributesfile", "allowedsignersfile"),
    )
)
"""The keys among them whose value is a path rather than a command line."""

# `transport::address` makes git run git-remote-transport.
_REMOTE_HELPER: Final = re.compile(r"\s*[\w+.-]+::")


def is_harmless(entry: Entry) -> bool:
    """Return whether git, obeying the setting, runs no program and connects nowhere by itself."""
    if entry.name == "core.fsmonitor":
        return entry.value in {"true", "false"}  # git's own monitor, or none
    return (
        entry.name in _HARMLESS
        and _REMOTE_HELPER.match(entry.value) is None
        and re.search(r"[\0\r\n]", entry.value) is None
    )


def names_program(entry: Entry) -> bool:
    """Return whether the value of the setting is a program, or a file or folder that git obeys."""
    return entry.key in _PROGRAM_KEYS or entry.section in _PROGRAM_SECTIONS


def is_include(entry: Entry) -> bool:
    return entry.section in {"include", "includeif"}


def names_path(entry: Entry) -> bool:
    """Return whether the value of such a setting is a path as a whole, not a command line."""
    return entry.key in _PATH_KEYS


def possible_paths(entry: Entry) -> list[str]:
    """Return every part of the setting's value that may be the path of something git obeys."""
    is_git_alias = entry.section == "alias" and not entry.value.startswith("!")
    if not names_program(entry) or is_git_alias:
        return []
    texts = [entry.value] if names_path(entry) else words(entry.value)
    return [text for text in texts if "\0" not in text]


def looks_like_path(word: str) -> bool:
    """Return whether a word of a command line looks like a file: `tools/x`, `x.sh`, but not `build`."""
    return "/" in word or "." in word.strip(".")


def words(value: str) -> list[str]:
    """Return the words of a command line, whatever its quoting; the whole value comes first."""
    return [value, *re.findall(r"[^\s\"'`;|&()<>=$!]+", value)]


@dataclass(frozen=True, slots=True)
class Review:
    """The verdict on a configuration that a run may have written."""

    kept: list[Entry]
    removed: list[Entry]
    complete: bool
    """True if git would read the whole text."""

    @property
    def is_clean(self) -> bool:
        return self.complete and not self.removed


def review(text: str, before: str, keeps_worktree: Callable[[str], bool]) -> Review:
    """Sort a configuration's entries into those that may stay and those that must go.

    An entry stays if the configuration had it `before` the run, or if it is harmless.
    `keeps_worktree` decides on the value of `core.worktree`.
    """
    earlier = git_config.parse(before)[0]
    entries, complete = git_config.parse(text)
    kept: list[Entry] = []
    removed: list[Entry] = []
    for entry in entries:
        is_worktree = entry.name == "core.worktree"
        stays = keeps_worktree(entry.value) if is_worktree else is_harmless(entry)
        (kept if stays or entry in earlier else removed).append(entry)
    return Review(kept, removed, complete)
