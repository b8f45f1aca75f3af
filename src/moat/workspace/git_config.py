"""What a configuration of git says, and what of it can do no harm.

Pure. Git runs programs that its configuration names, so one that a run has written is not to be obeyed
as it is: `harmless` is a list of what is kept. It names what clones and worktrees live by; whatever it
does not name, and whatever a later git invents, is left out. What is kept is written anew, so a
reading of ours that is not git's can't let anything through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Entry:
    """`[section "subsection"] key = value`; section and key in lower case, as git compares them."""

    section: str
    subsection: str | None
    key: str
    value: str
    """A key alone means `true`."""

    @property
    def name(self) -> str:
        """As git knows it, with a star for the subsection."""
        middle = "" if self.subsection is None else "*."
        return f"{self.section}.{middle}{self.key}"

    @property
    def printed(self) -> str:
        middle = "" if self.subsection is None else f"{self.subsection}."
        return f"{self.section}.{middle}{self.key}"


_HARMLESS: Final = frozenset(
    (
        # The repository, and the files in its worktree.
        *("core.repositoryformatversion", "core.bare", "core.filemode", "core.symlinks"),
        *("core.ignorecase", "core.precomposeunicode", "core.logallrefupdates", "core.longpaths"),
        *("core.autocrlf", "core.eol", "core.safecrlf", "core.quotepath", "core.abbrev"),
        *("core.untrackedcache", "core.preloadindex", "core.commitgraph", "feature.manyfiles"),
        *("core.sparsecheckout", "core.sparsecheckoutcone", "index.sparse", "index.version"),
        *("extensions.objectformat", "extensions.compatobjectformat", "extensions.refstorage"),
        *("extensions.worktreeconfig", "extensions.relativeworktrees", "extensions.noop"),
        # Remotes and branches. Not `promisor`: for such a remote even `git status` calls the network.
        *("remote.*.url", "remote.*.pushurl", "remote.*.fetch", "remote.*.push"),
        *("remote.*.tagopt", "remote.*.prune", "remote.*.mirror", "remote.pushdefault"),
        *("branch.*.remote", "branch.*.merge", "branch.*.rebase", "branch.*.pushremote"),
        *("branch.*.description", "submodule.active", "submodule.*.url", "submodule.*.active"),
        *("submodule.*.branch", "submodule.*.ignore"),
        # Marks of git-lfs, gh and editors.
        *("lfs.repositoryformatversion", "lfs.*.access", "remote.*.gh-resolved"),
        *("branch.*.gh-merge-base", "branch.*.vscode-merge-base"),
        # People and habits.
        *("user.name", "user.email", "author.name", "author.email"),
        *("committer.name", "committer.email", "commit.gpgsign", "tag.gpgsign"),
        *("pull.rebase", "pull.ff", "push.default", "push.autosetupremote", "fetch.prune"),
        *("merge.ff", "init.defaultbranch", "gc.auto", "color.ui", "rerere.enabled"),
    )
)

_PROGRAMS: Final = frozenset(
    (
        *("hookspath", "fsmonitor", "sshcommand", "pager", "editor", "askpass", "gitproxy"),
        *("alternaterefscommand", "clean", "smudge", "process", "command", "cmd", "textconv"),
        *("external", "driver", "helper", "program", "difffilter", "update", "uploadpack"),
        *("receivepack", "packobjectshook", "templatedir", "defaultkeycommand", "path"),
        *("sslcainfo", "sslcapath"),
    )
)
"""Keys, of whatever section, whose value is a program, or a file or folder that is obeyed."""

_PROGRAM_SECTIONS: Final = frozenset(("alias", "pager", "include", "includeif"))

FILES: Final = frozenset(("hookspath", "templatedir", "path", "sslcainfo", "sslcapath"))
"""Those of them whose value is a path, and no command line."""


def harmless(entry: Entry) -> bool:
    """Whether git, obeying it, runs no program and goes nowhere by itself."""
    # `transport::address` runs git-remote-transport.
    helper = re.match(r"\s*[\w+.-]+::", entry.value)
    if entry.name == "core.fsmonitor":
        return entry.value in {"true", "false"}  # git's own, and none
    return entry.name in _HARMLESS and not helper and not re.search(r"[\0\r\n]", entry.value)


def names_program(entry: Entry) -> bool:
    return entry.key in _PROGRAMS or entry.section in _PROGRAM_SECTIONS


def words(value: str) -> list[str]:
    """What may be a path in a command line, whatever the quoting. The first is the whole."""
    return [value, *re.findall(r"[^\s\"'`;|&()<>=$!]+", value)]


class _BadLineError(Exception):
    """Git would refuse the file here."""


def parse(text: str) -> tuple[list[Entry], bool]:
    """The entries, and whether git would read the text to its end as we do (git-config(1))."""
    entries: list[Entry] = []
    try:
        entries.extend(_Reader(text).entries())
    except _BadLineError as bad:
        entries.extend(bad.args[0])
        return entries, False
    return entries, True


def render(entries: Iterable[Entry]) -> str:
    lines: list[str] = []
    header = ""
    for entry in entries:
        wanted = f"[{entry.section}]"
        if entry.subsection is not None:
            wanted = f'[{entry.section} "{_escaped(entry.subsection)}"]'
        if wanted != header:
            lines.append(header := wanted)
        value = _escaped(entry.value).replace("\n", "\\n").replace("\t", "\\t")
        lines.append(f'\t{entry.key} = "{value}"')
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


_HEADER: Final = re.compile(
    r"\[(?P<section>[A-Za-z0-9.-]+)(?:[ \t]+\"(?P<subsection>(?:[^\"\\\n]|\\[^\n])*)\")?\]"
)
_KEY: Final = re.compile(r"(?P<key>[A-Za-z][A-Za-z0-9-]*)[ \t]*(?P<equals>=)?")
_ESCAPES: Final = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self._at = 0

    def entries(self) -> Iterator[Entry]:
        """Raises `_BadLineError` where git does, after what it takes before."""
        found: list[Entry] = []
        section: tuple[str, str | None] | None = None
        while self._at < len(self._text):
            here = self._text[self._at]
            if here.isspace():
                self._at += 1
            elif here in "#;":
                self._skip_line()
            elif here == "[":
                section = self._header(found)
            elif section is None:
                raise _BadLineError(found)
            else:
                key, value = self._entry(found)
                found.append(Entry(*section, key, value))
        return iter(found)

    def _header(self, found: list[Entry]) -> tuple[str, str | None]:
        match = _HEADER.match(self._text, self._at)
        if match is None:
            raise _BadLineError(found)
        self._at = match.end()
        section, subsection = match["section"].lower(), match["subsection"]
        if subsection is not None:
            return section, re.sub(r"\\(.)", r"\1", subsection)
        first, dot, rest = section.partition(".")
        return first, rest if dot else None

    def _entry(self, found: list[Entry]) -> tuple[str, str]:
        match = _KEY.match(self._text, self._at)
        if match is None:
            raise _BadLineError(found)
        self._at = match.end()
        if match["equals"]:
            return match["key"].lower(), self._value(found)
        if self._at < len(self._text) and self._text[self._at] != "\n":
            raise _BadLineError(found)
        return match["key"].lower(), "true"

    def _value(self, found: list[Entry]) -> str:
        value, end, quoted = "", 0, False
        """`end`: of the value without the spaces that follow what is not quoted."""
        while self._at < len(self._text) and (here := self._text[self._at]) != "\n":
            self._at += 1
            if here == "\\":
                value += self._escape(found)
                end = len(value)
            elif here == '"':
                quoted = not quoted
                end = len(value)
            elif not quoted and here in "#;":
                self._skip_line()
            elif quoted or not here.isspace():
                value += here
                end = len(value)
            elif value:
                value += here
        if quoted:
            raise _BadLineError(found)
        return value[:end]

    def _escape(self, found: list[Entry]) -> str:
        escaped = self._text[self._at : self._at + 1]
        self._at += 1
        if escaped == "\n":
            return ""
        if escaped not in _ESCAPES:
            raise _BadLineError(found)
        return _ESCAPES[escaped]

    def _skip_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end
