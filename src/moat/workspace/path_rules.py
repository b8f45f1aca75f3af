"""Rules about paths that programs on the host obey unasked, and the search for such paths. Pure.

A program obeys a path unasked if it runs or trusts what is there because of the path alone: when the
user opens the folder, enters it in a shell, commits, or starts an agent in it. `known_paths` is the
table of the rules that Moat knows; settings and `agent.yaml` add to it.

Names are compared without regard to case. Many file systems do the same (NTFS, FAT, those of a Mac, and
ext4 where a folder asks for it), and on the others nobody calls a file `.VSCODE` for another purpose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moat.spec import ProtectedPath


PACKAGE_FOLDER: Final = "node_modules"
"""The name of a folder of packages, which has no protected path below it."""


class Protection(Enum):
    """The treatment of a path."""

    READ_ONLY = auto()
    """Read-only while the run lives, if it exists. What is new or changed afterwards is reported."""
    WATCHED = auto()
    """Writable. What is new or changed afterwards is reported."""
    RESTORED = auto()
    """Read-only, and afterwards what it was: a new or changed file is put aside."""
    REVIEWED = auto()
    """Read-only, and afterwards new settings are taken out unless they are harmless."""


@dataclass(frozen=True, slots=True)
class PathRule:
    path: str
    """Relative; a star is any part of a name (`moat.spec.protected_path`)."""
    program: str
    """The program that obeys the path."""
    reason: str
    """The use that a hostile run could make of the path."""
    protection: Protection = Protection.READ_ONLY
    refuses_links: bool = False
    """True if a run is refused when the path, at the top of the workspace, is a symbolic link."""
    twin: str | None = None
    """Another name for the same file. With one of the two there, a run may not leave the other."""


def rule_of(row: ProtectedPath) -> PathRule:
    """Return the rule that a row of the settings or of `agent.yaml` means."""
    protection = {"read-only": Protection.READ_ONLY, "watched": Protection.WATCHED}
    return PathRule(row.path, row.program, "is protected by a setting", protection[row.treatment])


class NamePattern:
    """A name in which each star stands for any part of it."""

    def __init__(self, name: str) -> None:
        self.literal = max(name.lower().split("*"), key=len)
        """The longest part that every such name has."""
        first, *rest = map(re.escape, name.lower().split("*"))
        # The text between two stars may be taken where it first occurs, once and for all: a hostile
        # name can't make the search try every combination.
        between, last = rest[:-1], rest[-1:]
        parts = [first, *(f"(?>.*?{text})" for text in between), *(f".*{text}" for text in last)]
        self._expression = re.compile("".join(parts), re.DOTALL)

    def matches(self, lowered: str) -> bool:
        """Return whether a name, in lower case, is such a name."""
        return self._expression.fullmatch(lowered) is not None


class PathTable:
    """Rules, arranged for the search of large folders: by the names with which their paths begin."""

    def __init__(self, rules: Iterable[PathRule]) -> None:
        self._rules: dict[str, list[PathRule]] = {}
        for rule in rules:
            self._rules.setdefault(rule.path.partition("/")[0].lower(), []).append(rule)
        self._names = frozenset(name for name in self._rules if "*" not in name)
        self._patterns = {name: NamePattern(name) for name in self._rules if "*" in name}

    def among(self, names: list[str]) -> list[str]:
        """Return those of the names with which a rule's path begins."""
        # The folders of a large project pass here while the user waits: most have no such name, and
        # one search in all names joined is faster than one in each.
        joined = "\0".join(names).lower()
        lowered = joined.split("\0")
        patterns = [each for each in self._patterns.values() if each.literal in joined]
        if not patterns and self._names.isdisjoint(lowered):
            return []
        return sorted(
            name
            for name, lower in zip(names, lowered, strict=False)  # no names are one empty text
            if lower in self._names or any(each.matches(lower) for each in patterns)
        )

    def rules(self, name: str) -> list[PathRule]:
        """Return the rules whose paths begin with this name."""
        lowered = name.lower()
        matching = (begin for begin, each in self._patterns.items() if each.matches(lowered))
        exact = self._rules.get(lowered, []) if lowered in self._names else []
        return exact + [rule for begin in matching for rule in self._rules[begin]]

    def rule_over(self, path: str, *, is_link: bool = False) -> PathRule | None:
        """Return the rule for a path or for a folder around it; `None` where there is none.

        For a link, that may also be a rule for a path below: what it leads to may have one there.
        """
        parts = path.split("/")
        for start, name in enumerate(parts):
            for rule in self.rules(name):
                wanted = rule.path.split("/")
                here = parts[start : start + len(wanted)]
                is_whole = len(here) == len(wanted) or is_link
                if is_whole and all(map(_is_name, wanted, here)):
                    return rule
            if name == PACKAGE_FOLDER:
                return None  # nobody opens a package as a project
        return None

    def touches(self, parts: Sequence[str]) -> bool:
        """Return whether a path that begins here is a rule's, or lies below or above one."""
        return any(
            all(map(_is_name, rule.path.split("/"), parts))  # up to the end of the shorter one
            for rule in self.rules(parts[0])
        )


def _is_name(wanted: str, name: str) -> bool:
    return (
        NamePattern(wanted).matches(name.lower())
        if "*" in wanted
        else wanted.lower() == name.lower()
    )
