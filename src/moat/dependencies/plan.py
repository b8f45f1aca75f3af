"""The steps by which an image gets its dependencies, in order. Pure.

The order is such that a change rebuilds little: what changes seldom comes first. Tools come before
languages, these before programs that need them, and packages of package managers at the end. So another
package of npm's leaves the layers of git and Node.js as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from moat.dependencies.entry import Entry
    from moat.spec.dependency import Dependency

_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "apt": (),
    "npm": ("node",),
    "pip": ("python",),
    "uv": ("uv",),
    "cargo": ("rust",),
    "go": ("go",),
}
"""The entries that each package manager comes with, in the order in which packages are installed."""
_ORDER: Final = ("tool", "language", "program")


@dataclass(frozen=True, slots=True)
class EntryStep:
    """An entry that is installed, in a version if one was asked for."""

    entry: Entry
    version: str


@dataclass(frozen=True, slots=True)
class ToolsStep:
    """All tools that come from the distribution in whatever version it has."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class PackagesStep:
    """All packages of one package manager."""

    kind: str
    packages: tuple[Dependency, ...]


Step = EntryStep | ToolsStep | PackagesStep


def plan(wanted: Iterable[Dependency], find: Callable[[str], Entry]) -> tuple[Step, ...]:
    """Return the steps for what is wanted and what that requires.

    The result doesn't depend on the order of `wanted`. `find` returns an entry of the registry, or
    raises `UsageError`, as this does for two versions of one thing.
    """
    chosen = _chosen(wanted)
    entries = {each.name: each.version for each in chosen if not each.kind}
    packages = [each for each in chosen if each.kind]
    roots = {*entries, *(name for each in packages for name in _NEEDED[each.kind])}
    found = _with_required(roots, find)
    versions = _versions(found, entries)
    return (*_entry_steps(found, versions), *_package_steps(packages))


def title(step: Step) -> str:
    """Return a step in a few words, for people."""
    match step:
        case ToolsStep(entries):
            return ", ".join(each.id for each in entries)
        case EntryStep(entry, version):
            return f"{entry.id}@{version}" if version else entry.id
        case PackagesStep(_, packages):
            return ", ".join(map(str, packages))


def _chosen(wanted: Iterable[Dependency]) -> list[Dependency]:
    """Return each thing once, in the one version in which it is wanted, sorted."""
    chosen: dict[tuple[str, str], Dependency] = {}
    for each in sorted(wanted, key=str):
        known = chosen.setdefault((each.kind, each.name), each)
        if each.version and known.version and each.version != known.version:
            raise UsageError(f"{known} and {each} exclude each other", "Name one of them")
        if each.version:
            chosen[each.kind, each.name] = each
    return [chosen[key] for key in sorted(chosen)]


def _with_required(roots: Iterable[str], find: Callable[[str], Entry]) -> dict[str, Entry]:
    """Return the entries of these names, and all that they require."""
    found: dict[str, Entry] = {}
    open_names = sorted(roots)
    while open_names:
        name = open_names.pop()
        if name not in found:
            found[name] = find(name)
            open_names += map(_required_name, found[name].requires)
    return found


def _versions(found: Mapping[str, Entry], asked: Mapping[str, str]) -> dict[str, str]:
    """Return the version of each entry: the user's, or else the highest that another one requires."""
    required: dict[str, list[str]] = {name: [] for name in found}
    for entry in found.values():
        for each in entry.requires:
            name, _, version = each.partition("@")
            required[name].append(version)
    return {
        name: asked.get(name) or max(required[name], key=_rank, default="") or entry.default
        for name, entry in found.items()
    }


def _rank(version: str) -> list[tuple[int, str]]:
    """Return a key by which 3.9 is less than 3.12, and no version less than any."""
    parts = version.split(".") if version else []
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _entry_steps(found: Mapping[str, Entry], versions: Mapping[str, str]) -> Iterator[Step]:
    together = [name for name, entry in found.items() if _is_plain_tool(entry, versions[name])]
    if together:
        yield ToolsStep(tuple(found[name] for name in sorted(together)))
    done = set(together)
    for name in sorted(found, key=lambda name: (_ORDER.index(found[name].kind), name)):
        yield from _after_required(name, found, versions, done)


def _is_plain_tool(entry: Entry, version: str) -> bool:
    return entry.kind == "tool" and not version and not entry.chooses_version


def _after_required(
    name: str, found: Mapping[str, Entry], versions: Mapping[str, str], done: set[str]
) -> Iterator[Step]:
    """Yield an entry's step after those of what it requires; a circle is cut where it closes."""
    if name in done:
        return
    done.add(name)
    for each in sorted(map(_required_name, found[name].requires)):
        yield from _after_required(each, found, versions, done)
    yield EntryStep(found[name], versions[name])


def _package_steps(packages: Iterable[Dependency]) -> Iterator[Step]:
    for kind in _NEEDED:
        of_kind = tuple(each for each in packages if each.kind == kind)
        if of_kind:
            yield PackagesStep(kind, of_kind)


def _required_name(text: str) -> str:
    return text.partition("@")[0]
