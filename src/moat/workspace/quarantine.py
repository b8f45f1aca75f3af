"""One git folder, after a run: what git would obey in it is what it was before, or harmless.

Another run may be at work in the same workspace, so nothing is done by path: the folder is held by a
descriptor, and no symbolic link in it is followed. Nothing is deleted: what is taken away is left
beside its place under another name.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace import git_config
from moat.workspace.beneath import Opened, open_beneath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Orders = dict[str, str | None]
"""What a git folder orders, by name: the text of a file, the digest of a hook; `None`: not there."""

_CONFIGS: Final = ("config", "config.worktree")
_POINTERS: Final = ("commondir", "gitdir")
_HOOKS: Final = PurePosixPath("hooks")

# What `content` says of what is no file. With a zero byte, which is of no use to git in a text.
LINK: Final = "\0link "
_UNREADABLE: Final = "\0"

_MOST_BYTES: Final = 1024 * 1024
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# As git writes it. All readers read such lines alike; what else there may be is written anew.
_PLAIN: Final = re.compile(
    r"(?:\[[a-z]+(?: \"[\w./-]+\")?\]\n"
    r"|\t[A-Za-z][A-Za-z0-9-]* = [\w.,:/@+*~-]+(?: [\w.,:/@+*~-]+)*\n)*+",
    re.ASCII,
)


def orders_of(git: Opened) -> Orders:
    orders: Orders = {name: content(git, name) for name in (*_CONFIGS, *_POINTERS)}
    orders[_HOOKS.name] = content(git, _HOOKS.name)
    return orders | _hooks(git)


def _hooks(git: Opened) -> Orders:
    """By path; names with a dot (`pre-commit.sample`) are no hooks."""
    try:
        opened = open_beneath(git, _HOOKS)
    except OSError:
        return {}
    with opened as hooks:
        if not hooks.is_folder:
            return {}
        found = {name: content(hooks, name) for name in names_in(hooks) if "." not in name}
    return {f"{_HOOKS}/{name}": _digest(text) for name, text in found.items() if text is not None}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def content(folder: Opened, name: str) -> str | None:
    """The text of a file; where a link leads; `None` where nothing is there."""
    try:
        descriptor = os.open(name, _READ, dir_fd=folder.descriptor)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            return f"{LINK}{os.readlink(name, dir_fd=folder.descriptor)}"
        if exc.errno in {errno.ENXIO, errno.EACCES}:  # a socket; or git can't read it either
            return _UNREADABLE
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return _UNREADABLE
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(_MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    return _UNREADABLE if len(data) > _MOST_BYTES else data.decode(errors="surrogateescape")


def names_in(folder: Opened) -> list[str]:
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder.descriptor)
    try:
        return os.listdir(descriptor)  # noqa: PTH208  a path can not be a descriptor
    finally:
        os.close(descriptor)


def set_aside(folder: Opened, name: str) -> str:
    """Gives it a name that nobody obeys; that name."""
    _claim(folder)
    new = f"{name}.disarmed"
    while exists(folder, new):
        new = f"{name}.disarmed-{os.urandom(4).hex()}"
    os.rename(name, new, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)
    return new


def exists(folder: Opened, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _write(folder: Opened, name: str, text: str) -> None:
    descriptor = os.open(name, _WRITE, 0o644, dir_fd=folder.descriptor)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)


def _claim(folder: Opened) -> None:
    """The right to rename in it, which a run may have taken from us."""
    mode = stat.S_IMODE(os.fstat(folder.descriptor).st_mode)
    if mode & 0o700 != 0o700:
        os.chmod(f"/proc/self/fd/{folder.descriptor}", mode | 0o700)  # noqa: PTH101  O_PATH: no fchmod


class Disarming:
    """Of one folder.

    `before`: what it ordered at the start, where it was covered then; a name with `None` was free.
    `leads_to_known`: whether a path is a git folder that is itself looked after.
    `keeps_worktree`: whether a worktree lies where the run could write.
    """

    def __init__(
        self,
        git: Opened,
        before: Orders | None,
        leads_to_known: Callable[[str], bool],
        keeps_worktree: Callable[[str], bool],
    ) -> None:
        self._git = git
        self._before = before
        self._leads_to_known = leads_to_known
        self._keeps_worktree = keeps_worktree

    def carry_out(self) -> Iterator[str]:
        """What was done, in words; the name comes first. Raises `OSError`."""
        for name in _CONFIGS:
            yield from self._config(name)
        for name in _POINTERS:
            yield from self._pointer(name)
        yield from self._hooks()

    def _is_new(self, name: str) -> bool:
        """In a repository that was there the name was free."""
        return self._before is not None and self._before[name] is None

    def _config(self, name: str) -> Iterator[str]:
        text = content(self._git, name)
        before = None if self._before is None else self._before[name]
        if text in (None, before):
            return
        if self._is_new(name) or text.startswith("\0"):
            yield _put(name, set_aside(self._git, name))
            return
        known = git_config.parse(before or "")[0]
        entries, complete = git_config.parse(text)
        kept = [each for each in entries if each in known or self._is_harmless(each)]
        if complete and kept == entries:
            if not _PLAIN.fullmatch(text):
                self._rewrite(name, kept)
            return
        aside = set_aside(self._git, name)
        _write(self._git, name, git_config.render(kept))
        dropped = dict.fromkeys(each.printed for each in entries if each not in kept)
        yield f"{name}: took out {', '.join(dropped) or 'what git could not read'} (as it was: {aside})"

    def _rewrite(self, name: str, entries: list[git_config.Entry]) -> None:
        """The same, in words that git can't take otherwise than we have."""
        _claim(self._git)
        new = f"{name}.new-{os.urandom(4).hex()}"
        _write(self._git, new, git_config.render(entries))
        os.replace(new, name, src_dir_fd=self._git.descriptor, dst_dir_fd=self._git.descriptor)

    def _is_harmless(self, entry: git_config.Entry) -> bool:
        if entry.name == "core.worktree":
            return self._keeps_worktree(entry.value)
        return git_config.harmless(entry)

    def _pointer(self, name: str) -> Iterator[str]:
        text = content(self._git, name)
        before = None if self._before is None else self._before[name]
        if text in (None, before):
            return
        if before is not None:
            yield _put(name, set_aside(self._git, name))
            _write(self._git, name, before)
        elif self._is_new(name) or not self._may_point(name, text):
            yield _put(name, set_aside(self._git, name))

    def _may_point(self, name: str, text: str) -> bool:
        """`gitdir` names a worktree, in which git runs nothing; `commondir` another git folder."""
        if text.startswith("\0"):
            return False
        return name != "commondir" or self._leads_to_known(text.rstrip("\r\n"))

    def _hooks(self) -> Iterator[str]:
        name = _HOOKS.name
        state = content(self._git, name)
        before = {} if self._before is None else self._before
        is_link = state is not None and state.startswith(LINK)
        if state is not None and (self._is_new(name) or (is_link and before.get(name) != state)):
            yield _put(name, set_aside(self._git, name))
            return
        for path, digest in _hooks(self._git).items():
            if before.get(path) != digest:
                with open_beneath(self._git, _HOOKS) as hooks:
                    yield _put(path, set_aside(hooks, PurePosixPath(path).name))


def _put(name: str, aside: str) -> str:
    return f"{name}: renamed to {aside}"
