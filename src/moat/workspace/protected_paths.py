"""The paths of a writable folder that programs of the host run or obey unasked.

Many programs obey files of known names (`moat.workspace.path_rules`). Git obeys more: the
configuration of every repository that it comes by, including those within others, the programs and
files that a configuration names, and hooks. All of this is to be read-only in the sandbox if it exists.
A path that doesn't exist can't be; `moat.workspace.cleanup` looks for it after the run.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace import discovery, earlier_paths, known_paths
from moat.workspace.git_layout import (
    GIT,
    common_folder,
    enclosing_repositories,
    gitfile_target,
    is_repository,
    linked_git_folders,
    worktree_of,
)
from moat.workspace.git_references import ConfigReader, user_configs
from moat.workspace.git_state import CONFIGS, HOOKS
from moat.workspace.host_sockets import SocketSearch
from moat.workspace.known_paths import PROJECT, PROJECT_TABLE
from moat.workspace.links import linked_paths, links_in, links_on_the_way
from moat.workspace.named_paths import named_paths
from moat.workspace.path_rules import PathRule, PathTable, Protection, rule_of
from moat.workspace.watched_paths import Obeyed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from moat.spec import ProtectedPath
    from moat.workspace.discovery import Discovery

_MAX_REPOSITORIES: Final = 100
_MAX_GIT_FOLDERS: Final = 200
_MAX_INFO_FOLDERS: Final = 20
_MAX_NAMED_COVERS: Final = 60
# Bubblewrap's work grows with the square of the number of mounts: 200 take some 50 ms, 600 a third of
# a second. A path takes one, and one for each folder above it, of which a hostile run can make
# hundreds. Whatever goes beyond these bounds is checked after the run only.
MAX_GIT_MOUNTS: Final = 400
MAX_NAMED_MOUNTS: Final = 200
# A hostile run can leave any number of files for the next run to look at.
_MAX_NAMED: Final = 1_000

_NAMED_BY_GIT: Final = Obeyed("git", "is named by a configuration")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedPaths:
    """The paths that the host obeys in a folder, relative to the folder."""

    read_only: tuple[PurePosixPath, ...] = ()
    """Paths to make read-only; some of them may not exist."""
    git_folders: tuple[PurePosixPath, ...] = ()
    """Git folders whose state is to be what it was; of the nearest, `read_only` has what git obeys."""
    sealed: tuple[PurePosixPath, ...] = ()
    """Git folders that are read-only as a whole, because of symbolic links in them."""
    gitfiles: tuple[PurePosixPath, ...] = ()
    """Files and symbolic links called `.git`, which lead to a git folder."""
    links: tuple[PurePosixPath, ...] = ()
    """Symbolic links by which git comes to what it runs. They can't be covered, but put back."""
    absent: tuple[PurePosixPath, ...] = ()
    """Paths that the host would obey and that don't exist. A run may not leave them behind."""
    absent_programs: tuple[PurePosixPath, ...] = ()
    """The same, but for files only: a word of a command line may be a folder by another meaning."""
    watched: Mapping[PurePosixPath, Obeyed] = field(default_factory=dict[PurePosixPath, Obeyed])
    """Paths, and the program that obeys each. What a run changes in them is reported."""
    rows: tuple[ProtectedPath, ...] = ()
    """Rows that the user has added to the table."""
    sockets: tuple[PurePosixPath, ...] = ()
    """Unix sockets at which services of the host listen. The sandbox is not to see them."""
    uncovered: tuple[str, ...] = ()
    """Descriptions of what is not read-only because there is too much of it."""
    complete: bool = True
    """True if all of the folder was searched."""

    @property
    def obeyed(self) -> tuple[PurePosixPath, ...]:
        """Paths that the host obeys or would obey, besides those that are only watched."""
        return (*self.read_only, *self.links, *self.absent, *self.absent_programs)


def find_protected_paths(
    root: Path,
    *,
    named: Iterable[str] = (),
    hidden: Collection[PurePosixPath] = (),
    configs: Iterable[Path] = (),
    rows: tuple[ProtectedPath, ...] = (),
    known_as: Path | None = None,
) -> ProtectedPaths:
    """Find what the host obeys in a folder now.

    `named` are files that the project's own configuration names, `hidden` paths that the sandbox won't
    see, `configs` git configurations outside the folder that hold in it, and `rows` what the user adds
    to the table. `known_as` is the folder of which `root` is a copy, with its history. A repository
    without a `hooks` folder is given one.
    """
    table = table_with(rows)
    collector = _Collector(root, table)
    sockets = SocketSearch(root)
    _make_hooks(root)
    found = discovery.discover(
        root,
        discovery.MAX_FOLDERS_BEFORE,
        skipped=frozenset(map(str, hidden)),
        enters_git=False,
        table=table,
        read=sockets.read,
    )
    earlier_paths.put_first(found, root, known_as or root)
    # What the user has comes before what a run may have left, which can be more than is read.
    for config in (*configs, *user_configs()):
        collector.add_config(config, root)
    for git, worktree in enclosing_repositories(root):
        collector.add_outer_repository(git, worktree)
    collector.add_repositories(found)
    collector.add_obeyed(map(PurePosixPath, named), Obeyed("Moat", "is trusted by the next run"))
    collector.add_named(found)
    return collector.result(rows, sockets.live(), complete=found.complete)


def table_with(rows: tuple[ProtectedPath, ...]) -> PathTable:
    """Return the table of the paths in a project with the rows that the user has added."""
    return PathTable((*PROJECT, *map(rule_of, rows))) if rows else PROJECT_TABLE


class _MountBudget:
    """A bound on the mounts that a list of covers takes, those on the folders above them included."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._mounts: set[PurePosixPath] = set()

    def admits(self, paths: Iterable[PurePosixPath]) -> bool:
        """Return whether covers over all of these paths are within the bound, and count them if so."""
        needed = self._mounts.union(*((path, *path.parents) for path in paths))
        if len(needed) > self._limit:
            return False
        self._mounts = needed
        return True


class _Collector:
    """The protected paths of a folder, while they are being collected."""

    def __init__(self, root: Path, table: PathTable) -> None:
        self._root = root
        self._table = table
        self._configs = ConfigReader(root)
        self._git_budget = _MountBudget(MAX_GIT_MOUNTS)
        self._uncovered: Counter[str] = Counter()
        self._read_only: dict[PurePosixPath, None] = {}
        self._git_folders: dict[PurePosixPath, None] = {}
        self._sealed: dict[PurePosixPath, None] = {}
        self._gitfiles: dict[PurePosixPath, None] = {}
        self._obeyed: dict[PurePosixPath, Obeyed] = {}
        self._missing: dict[PurePosixPath, None] = {}
        self._links: dict[PurePosixPath, None] = {}
        self._named: dict[PurePosixPath, Obeyed] = {}
        self._all_named = True

    def result(
        self,
        rows: tuple[ProtectedPath, ...],
        sockets: tuple[PurePosixPath, ...],
        *,
        complete: bool,
    ) -> ProtectedPaths:
        root = self._root
        read_only = dict.fromkeys([*self._read_only, *self._obeyed])
        for path in list(read_only):
            read_only |= dict.fromkeys(linked_paths(root, root / path))
        wanted = [*self._obeyed, *_twins(root)]
        watched = {path: self._obeyed[path] for path in self._obeyed if self._exists(path)}
        return ProtectedPaths(
            read_only=tuple(read_only),
            git_folders=tuple(self._git_folders),
            sealed=tuple(self._sealed),
            gitfiles=tuple(self._gitfiles),
            links=tuple(self._links),
            absent=tuple(path for path in wanted if not self._exists(path)),
            absent_programs=tuple(self._missing),
            watched=watched | self._named,
            rows=rows,
            sockets=sockets,
            uncovered=tuple(self._uncovered_lines()),
            complete=complete and self._all_named,
        )

    def _uncovered_lines(self) -> Iterator[str]:
        """Say what was not made read-only because there is too much of it."""
        self._uncovered["what long configurations name"] += len(self._configs.unread)
        for what, number in self._uncovered.items():
            if number:
                yield f"{what} ({number})"

    def _exists(self, path: PurePosixPath) -> bool:
        return os.path.lexists(self._root / path)

    # --- git ---

    def add_repositories(self, found: Discovery) -> None:
        self._add_root()
        repositories = [*found.unentered, *found.git_folders]
        for path in repositories[:_MAX_REPOSITORIES]:
            self._add_git_folder(path)
        for path in found.gitfiles[:_MAX_REPOSITORIES]:
            self._add_gitfile(path)
        more = len(repositories[_MAX_REPOSITORIES:]) + len(found.gitfiles[_MAX_REPOSITORIES:])
        self._uncovered["repositories"] += more

    def _add_root(self) -> None:
        git = self._root / GIT
        if git.is_symlink():
            self._read_only[PurePosixPath(GIT)] = None  # a link can't be covered: the start fails
        elif git.is_dir():
            self._add_git_folder(PurePosixPath(GIT), may_seal=False)
        elif is_repository(self._root):
            self._add_git_folder(PurePosixPath(), may_seal=False)

    def _add_git_folder(self, path: PurePosixPath, *, may_seal: bool = True) -> None:
        git = self._root / path
        if path in self._git_folders:
            return
        if may_seal and any((git / rule.path).is_symlink() for rule in known_paths.GIT):
            self._sealed[path] = self._read_only[path] = None
            return
        for folder in (git, *linked_git_folders(git)):
            if len(self._git_folders) == _MAX_GIT_FOLDERS:
                return
            self._add_one_git_folder(folder)

    def _add_one_git_folder(self, git: Path) -> None:
        path = PurePosixPath(git.relative_to(self._root))
        self._git_folders[path] = None
        is_near = len(self._git_folders) <= _MAX_INFO_FOLDERS
        covers: list[PurePosixPath] = []
        for rule in known_paths.GIT:
            is_info = "/" in rule.path
            if rule.protection is Protection.WATCHED and is_near:
                self._named[path / rule.path] = Obeyed(rule.program, rule.reason)
            if rule.protection is Protection.WATCHED or (is_info and not is_near):
                continue
            if not is_info or os.path.realpath(git / rule.path) == str(git / rule.path):
                covers.append(path / rule.path)
        if self._git_budget.admits(list(filter(self._exists, covers))):
            self._read_only |= dict.fromkeys(covers)
        else:
            self._uncovered["repositories"] += 1
        self._add_configs(git, worktree_of(git))

    def _add_gitfile(self, path: PurePosixPath) -> None:
        self._gitfiles[path] = None
        gitfile = self._root / path
        if gitfile.is_symlink():
            return  # can't be covered: `cleanup` sees whether it has changed
        if self._git_budget.admits([path]):
            self._read_only[path] = None
        git = gitfile_target(gitfile)
        if git is None or git == self._root or not git.is_dir():
            return
        if git.is_relative_to(self._root):
            self._add_git_folder(PurePosixPath(git.relative_to(self._root)))
        self._add_configs(git, gitfile.parent)

    def add_outer_repository(self, git: Path, worktree: Path) -> None:
        """Add what a repository names in the folder whose git folder lies outside of it."""
        self._add_configs(git, worktree)
        for folder in islice(linked_git_folders(git), _MAX_GIT_FOLDERS):
            self._add_configs(folder, worktree_of(folder))

    def _add_configs(self, git: Path, worktree: Path) -> None:
        """Add what the configurations and hooks that hold in a worktree name."""
        folders = dict.fromkeys((git, common_folder(git)))
        for config in (*(folder / name for folder in folders for name in CONFIGS), *user_configs()):
            self.add_config(config, worktree)
        for folder in folders:
            self.add_obeyed(linked_paths(self._root, folder / HOOKS), _NAMED_BY_GIT)
            self._add_links(folder / HOOKS)

    def _add_links(self, folder: Path) -> None:
        for link in links_in(folder):
            self._links |= dict.fromkeys(links_on_the_way(self._root, link))

    def add_config(self, config: Path, worktree: Path) -> None:
        named = list(self._configs.paths_named_by(config, worktree))
        self.add_obeyed(named, _NAMED_BY_GIT)
        for path in named:
            self.add_obeyed(linked_paths(self._root, self._root / path), _NAMED_BY_GIT)
            self._add_links(self._root / path)
        self._missing |= dict.fromkeys(self._configs.missing_programs(config, worktree))

    def add_obeyed(self, paths: Iterable[PurePosixPath], obeyed: Obeyed) -> None:
        self._obeyed |= dict.fromkeys(paths, obeyed)

    # --- the table ---

    def add_named(self, found: Discovery) -> None:
        """Add the paths of the table, nearest first."""
        covers, budget = 0, _MountBudget(MAX_NAMED_MOUNTS)
        named = named_paths(self._root, found.named, self._table)
        for path, rule in islice(named, _MAX_NAMED):
            self._named.setdefault(path, Obeyed(rule.program, rule.reason))
            if rule.protection is not Protection.READ_ONLY:
                continue
            if covers < _MAX_NAMED_COVERS and budget.admits([path]):
                self._add_cover(path, rule)
                covers += 1
            else:
                self._uncovered["files that programs obey"] += 1
        self._all_named = next(named, None) is None

    def _add_cover(self, path: PurePosixPath, rule: PathRule) -> None:
        """Make a path of the table read-only, or what it leads to if it has a symbolic link."""
        real = Path(os.path.realpath(self._root / path))
        if rule.refuses_links and len(path.parts) == 1:
            self._read_only[path] = None  # where it is a link, the start fails
        elif real == self._root / path:
            if not real.is_symlink():  # as one that leads to itself is
                self._read_only[path] = None
        elif real.exists() and real != self._root and real.is_relative_to(self._root):
            self._read_only[PurePosixPath(real.relative_to(self._root))] = None


def _twins(root: Path) -> Iterator[PurePosixPath]:
    """Yield the other name of every file that has two and is there under one of them."""
    for rule in PROJECT:
        if rule.twin is not None and os.path.lexists(root / rule.path):
            yield PurePosixPath(rule.twin)


def _make_hooks(root: Path) -> None:
    """Give a repository the `hooks` folder that `git init` gives it, if it has none.

    This is the only thing ever created in a workspace. Without the folder there is nothing to make
    read-only, and the sandbox could create it with programs that the next `git commit` on the host
    runs.
    """
    for git in (root / GIT, root):
        if git.is_symlink():
            continue
        if is_repository(git) and not os.path.lexists(git / HOOKS):
            # An earlier run may have taken away the right to: what this one makes there is put aside.
            with suppress(PermissionError):
                (git / HOOKS).mkdir()
