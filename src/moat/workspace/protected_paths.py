"""What the host runs or obeys in a folder that a sandbox may write.

Editors, direnv and Moat have files of known names. Git has more: the configuration of every repository
it comes by, and so of one within another, the programs and files that a configuration names, and the
hooks. All of that is to be read-only, as far as it exists; `planted` looks after the rest in the end.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace import git_config, git_discovery
from moat.workspace.git_discovery import GIT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

# Read by editors, shells and Moat on the host, and commands to all of them.
_NAMES: Final = ("agent.yaml", "moat.yaml", ".vscode", ".idea", ".envrc")
# The same file by two names, so one beside the other is an order, too.
_TWINS: Final = (PurePosixPath("agent.yaml"), PurePosixPath("moat.yaml"))
# In a git folder: hooks are programs; the others name programs, or a folder to take them from.
OBEYED_BY_GIT: Final = ("config", "config.worktree", "hooks", "commondir", "gitdir")

# Each takes up to six mounts, and bubblewrap's work grows with the square of their number: with so
# many it takes a third of a second. Those beyond are looked at in the end.
_MOST_REPOSITORIES: Final = 100
# Includes within includes: git itself stops at ten.
_MOST_CONFIGS: Final = 32
_LARGEST_CONFIG: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """Everything relative to the folder."""

    paths: tuple[PurePosixPath, ...] = ()
    """To be read-only; not all of it need exist."""
    git_folders: tuple[PurePosixPath, ...] = ()
    """Those whose orders are among `paths`."""
    sealed: tuple[PurePosixPath, ...] = ()
    """Git folders that are among `paths` as a whole, for what is in them are links."""
    pointers: tuple[PurePosixPath, ...] = ()
    """`.git` files, which name a git folder."""
    uninvited: tuple[PurePosixPath, ...] = ()
    """What would be obeyed, and is not there: a run may not leave it behind."""


def trusted(
    root: Path,
    *,
    named: Iterable[str] = (),
    hidden: Collection[PurePosixPath] = (),
    configs: Iterable[Path] = (),
) -> Trusted:
    """What is in the folder now.

    `named`: files that the project's configuration names; `hidden`: what is not shown at all;
    `configs`: of git, from outside, that hold in this folder. A repository
    without a `hooks` folder is given one.
    """
    found = _Finding(root)
    _make_hooks(root)
    unseen = {str(path) for path in hidden}
    seen = git_discovery.find(
        root,
        git_discovery.MOST_FOLDERS_BEFORE,
        enters=lambda path: not (path == GIT or path.endswith(f"/{GIT}") or path in unseen),
    )
    found.add_root()
    for path in [*seen.closed, *seen.folders][:_MOST_REPOSITORIES]:
        found.add_git_folder(path)
    for path in seen.pointers[:_MOST_REPOSITORIES]:
        found.add_pointer(path)
    for config in (*configs, *_configs_of_user()):
        found.add_named(_named_by(root, PurePosixPath(config), PurePosixPath()))
    found.add_named(map(PurePosixPath, named))
    return found.result()


class _Finding:
    """A `Trusted` while it grows."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._paths = dict.fromkeys(map(PurePosixPath, _NAMES))
        self._git_folders: dict[PurePosixPath, None] = {}
        self._sealed: dict[PurePosixPath, None] = {}
        self._pointers: dict[PurePosixPath, None] = {}
        self._named: dict[PurePosixPath, None] = {}

    def result(self) -> Trusted:
        root = self._root
        one, other = (os.path.lexists(root / each) for each in _TWINS)
        wanted = [*self._named, *(_TWINS if one != other else ())]
        return Trusted(
            paths=(*self._paths, *self._named),
            git_folders=tuple(self._git_folders),
            sealed=tuple(self._sealed),
            pointers=tuple(self._pointers),
            uninvited=tuple(path for path in wanted if not os.path.lexists(root / path)),
        )

    def add_root(self) -> None:
        git = self._root / GIT
        if git.is_symlink():
            self._paths[PurePosixPath(GIT)] = None  # can't be covered, and that is said
        elif git.is_dir():
            self.add_git_folder(PurePosixPath(GIT), sealable=False)
        elif is_repository(self._root):
            self.add_git_folder(PurePosixPath(), sealable=False)

    def add_git_folder(self, path: PurePosixPath, *, sealable: bool = True) -> None:
        if path in self._git_folders:
            return
        git = self._root / path
        if sealable and any((git / name).is_symlink() for name in OBEYED_BY_GIT):
            self._sealed[path] = self._paths[path] = None
            return
        for folder in (git, *_folders_in(git / "worktrees"), *_submodules(git / "modules")):
            below = PurePosixPath(folder.relative_to(self._root))
            self._git_folders[below] = None
            self._paths |= dict.fromkeys(below / name for name in OBEYED_BY_GIT)
            top = _worktree(self._root, below)
            for name in ("config", "config.worktree"):
                self.add_named(_named_by(self._root, below / name, top))
            self.add_named(_linked_hooks(self._root, folder / "hooks"))

    def add_pointer(self, path: PurePosixPath) -> None:
        self._pointers[path] = None
        if (self._root / path).is_symlink():
            return  # can't be covered; `planted` sees whether it is the same in the end
        self._paths[path] = None
        folder = pointed_at(self._root / path)
        if folder is not None and folder != self._root and folder.is_relative_to(self._root):
            self.add_git_folder(PurePosixPath(folder.relative_to(self._root)))

    def add_named(self, paths: Iterable[PurePosixPath]) -> None:
        self._named |= dict.fromkeys(paths)


def pointed_at(pointer: Path) -> Path | None:
    """The folder that a `.git` file names, with all links resolved; it need not exist."""
    line = first_line(pointer)
    if line is None or not line.startswith("gitdir: "):
        return None
    return Path(os.path.realpath(pointer.parent / line.removeprefix("gitdir: ")))


def first_line(path: Path) -> str | None:
    text = _text(path)
    return None if text is None else text.partition("\n")[0].rstrip("\r")


def _text(path: Path) -> str | None:
    if path.is_symlink() or not path.is_file():
        return None
    try:
        with path.open(errors="surrogateescape", newline="") as file:
            return file.read(_LARGEST_CONFIG)
    except PermissionError:
        return None  # git can't read it either


# --- what a configuration names ---


def _configs_of_user() -> tuple[Path, ...]:
    """Where a path that is relative means one in whatever repository git is used in."""
    home = Path.home()
    xdg = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return (Path("/etc/gitconfig"), home / ".gitconfig", xdg / "git" / "config")


def _named_by(root: Path, config: PurePosixPath, top: PurePosixPath) -> Iterator[PurePosixPath]:
    """What lies in `root` and is named by a configuration, or by one that it includes.

    `top`: the folder from which git starts what the configuration names.
    """
    ahead, seen = [config], set[PurePosixPath]()
    while ahead and len(seen) < _MOST_CONFIGS:
        file = ahead.pop()
        text = None if file in seen else _text(root / file)
        seen.add(file)
        for entry in git_config.parse(text or "")[0]:
            is_include = entry.section in {"include", "includeif"}
            for path in _places(root, entry, file.parent if is_include else top):
                yield path
                if is_include:
                    ahead.append(path)


def _places(root: Path, entry: git_config.Entry, base: PurePosixPath) -> Iterator[PurePosixPath]:
    if not git_config.names_program(entry):
        return
    if entry.section == "alias" and not entry.value.startswith("!"):
        return
    is_file = entry.key in git_config.FILES
    for word in [entry.value] if is_file else git_config.words(entry.value):
        if "\0" in word:
            continue
        place = Path(os.path.normpath(os.path.join(root, base, os.path.expanduser(word))))  # noqa: PTH111, PTH118
        if place == root or not place.is_relative_to(root) or not (is_file or place.is_file()):
            continue
        # Husky's hooks lie beside the folder that it makes for git.
        if entry.key == "hookspath" and place.name == "_" and place.parent != root:
            place = place.parent
        yield PurePosixPath(place.relative_to(root))


def _linked_hooks(root: Path, hooks: Path) -> Iterator[PurePosixPath]:
    """Files of the workspace that were made hooks by a link."""
    if hooks.is_symlink() or not hooks.is_dir():
        return
    for name in os.listdir(hooks):  # noqa: PTH208  names are all that is needed
        target = Path(os.path.realpath(hooks / name))
        if (hooks / name).is_symlink() and target.is_file() and target.is_relative_to(root):
            yield PurePosixPath(target.relative_to(root))


# --- git folders ---


def _worktree(root: Path, git: PurePosixPath) -> PurePosixPath:
    """The folder that a git folder's configuration speaks of."""
    for entry in git_config.parse(_text(root / git / "config") or "")[0]:
        if entry.name == "core.worktree":  # of a submodule
            return PurePosixPath(os.path.normpath(git / entry.value))
    return git.parent if git.name == GIT else git


def _make_hooks(root: Path) -> None:
    """Give a repository the `hooks` folder that `git init` gives it, where it has none.

    It is the one thing made in a workspace. Without the folder there is nothing to make read-only,
    and the sandbox could make it, with programs in it that the next `git commit` on the host runs.
    """
    for git in (root / GIT, root):
        if git.is_symlink():
            continue
        if is_repository(git) and not os.path.lexists(git / "hooks"):
            (git / "hooks").mkdir()


def is_repository(folder: Path) -> bool:
    """As `git_discovery.is_git_folder`, but for `refs`."""
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir()


def _submodules(modules: Path) -> Iterator[Path]:
    """A submodule's name may have slashes, so its git folder may lie deeper."""
    for folder in _folders_in(modules):
        if (folder / "HEAD").is_file():
            yield folder
            yield from _submodules(folder / "modules")
        else:
            yield from _submodules(folder)


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
