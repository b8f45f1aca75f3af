"""What a run leaves behind for the host to obey, made harmless.

A path that exists is covered while the run lives (`trusted`); one that does not can't be, without
leaving an empty file in the user's project. So a run can make what was not there: a `.git/commondir`, a
repository within the repository, with programs in its configuration. Git runs them when the user asks
for a `git status` of the whole. And a cover is lost when the user himself replaces the file below it,
as `git config` and most editors do.

So what git obeyed before the start is remembered, and after the end all that it would obey now and
did not then is put aside (`disarming`): at once by whoever is there, the supervisor or, where none
lives, this module as a program that the shim starts.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from moat import typed_json
from moat.atomic import replace_file
from moat.paths import RunFolder
from moat.runs import lock
from moat.workspace import git_discovery
from moat.workspace.beneath import Opened, SymbolicLinkError, open_beneath, open_folder
from moat.workspace.quarantine import (
    LINK,
    Disarming,
    Orders,
    content,
    exists,
    orders_of,
    set_aside,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moat.workspace.covers import Area

log = logging.getLogger(__name__)

# A hostile run may make any number of them, and somebody is to read this.
_MOST_LINES: Final = 100


@dataclass(frozen=True, slots=True)
class Before:
    """An area as it was before the start; paths are relative to `root`."""

    root: str
    orders: dict[str, Orders] = field(default_factory=dict[str, Orders])
    """Of every git folder that was covered."""
    pointers: Orders = field(default_factory=Orders)
    untouchable: list[str] = field(default_factory=list[str])
    """Folders that the run could not write: hidden, or covered as a whole."""
    uninvited: list[str] = field(default_factory=list[str])

    @classmethod
    def of(cls, area: Area) -> Before:
        known = area.trusted
        with open_folder(area.root) as root:
            return cls(
                str(area.root),
                {str(path): _orders(root, path) for path in known.git_folders},
                {str(path): _content(root, path) for path in known.pointers},
                [str(path) for path in (*area.hidden, *known.sealed)],
                [str(path) for path in known.uninvited],
            )


def remember(areas: Iterable[Area], folder: RunFolder) -> None:
    """Before the start."""
    noted = [asdict(Before.of(area)) for area in areas]
    if noted:
        replace_file(folder.trusted_before, json.dumps(noted).encode(), durable=False)


def disarm(folder: RunFolder) -> list[str]:
    """After the end: what was done, a line each; done once, whoever asks how often."""
    if not folder.trusted_before.exists():
        return []
    with lock.locked(folder.disarm_lock):
        try:
            noted = json.loads(folder.trusted_before.read_text())
        except FileNotFoundError:
            return []  # another has just done it
        before = [typed_json.read(Before, each) for each in noted]
        areas = [each for each in before if Path(each.root).is_dir()]
        lines = [_printable(line) for line in _disarm(areas)]
        for line in lines:
            log.warning("after the run: %s", line)
        if lines:
            folder.disarmed.write_text("".join(f"{line}\n" for line in lines[:_MOST_LINES]))
        folder.trusted_before.unlink()
    return lines


def disarm_dead(folders: Iterable[RunFolder], has_sandbox: Callable[[RunFolder], bool]) -> None:
    """Clean up after runs that have neither a supervisor nor a sandbox left, after a crash say.

    Otherwise a run that begins now would take what they planted for the user's own files.
    """
    for folder in folders:
        if not folder.trusted_before.exists():
            continue
        held = lock.try_lock(folder.launch_lock)
        if held is None:
            continue  # a supervisor is about to deal with it
        try:
            if not lock.is_locked(folder.supervisor_lock) and not has_sandbox(folder):
                disarm(folder)
        finally:
            os.close(held)


def _disarm(areas: list[Before]) -> Iterator[str]:
    found = {area.root: _find(area) for area in areas}
    known = {
        os.path.realpath(Path(area.root, path))
        for area in areas
        for path in (*found[area.root].folders, *area.orders, *area.untouchable)
    }
    roots = [Path(area.root) for area in areas]
    for area in areas:
        yield from _Sweep(area, known, roots).through(found[area.root])


def _find(area: Before) -> git_discovery.Found:
    untouchable = set(area.untouchable)
    with open_folder(Path(area.root)) as root:

        def listing(folder: str) -> list[tuple[str, bool]]:
            try:
                return git_discovery.listing(folder)
            except PermissionError:
                # Git needs no right to list a folder for what it knows to be in there.
                with open_beneath(root, Path(folder).relative_to(root.path)) as opened:
                    os.chmod(f"/proc/self/fd/{opened.descriptor}", 0o700)  # noqa: PTH101  O_PATH: no fchmod
                return git_discovery.listing(folder)

        return git_discovery.find(
            root.path,
            git_discovery.MOST_FOLDERS_AFTER,
            enters=lambda path: path not in untouchable,
            read=listing,
        )


class _Sweep:
    """Through one area. `known`: all git folders that are looked after; `roots`: where a run wrote."""

    def __init__(self, area: Before, known: set[str], roots: list[Path]) -> None:
        self._area = area
        self._root = Path(area.root)
        self._known = known
        self._roots = roots

    def through(self, found: git_discovery.Found) -> Iterator[str]:
        folders = dict.fromkeys([*found.folders, *map(PurePosixPath, self._area.orders)])
        with open_folder(self._root) as root:
            for act, paths in (
                (self._uninvited, map(PurePosixPath, self._area.uninvited)),
                (self._git_folder, folders),
                (self._pointer, found.pointers),
            ):
                for path in paths:
                    yield from self._attempt(act, root, path)
        for path in found.unread:
            yield f"{self._root / path} could not be read: look what is in it before you use git"
        if not found.complete:
            yield f"{self._root} has too many folders to look at all: look before you use git"

    def _attempt(self, act: _Act, root: Opened, path: PurePosixPath) -> Iterator[str]:
        """One that can't be dealt with is no reason to leave the others."""
        try:
            yield from act(root, path)
        except (FileNotFoundError, NotADirectoryError, SymbolicLinkError):
            return  # nothing is there, or no way to it that git would take as this repository's
        except OSError as exc:
            yield f"{self._root / path} is not made harmless ({exc.strerror}): don't use git there"

    def _uninvited(self, root: Opened, path: PurePosixPath) -> Iterator[str]:
        with open_beneath(root, path.parent) as parent:
            if exists(parent, path.name):
                yield f"{self._root / path}: renamed to {set_aside(parent, path.name)}"

    def _git_folder(self, root: Opened, path: PurePosixPath) -> Iterator[str]:
        place = self._root / path
        with open_beneath(root, path) as git:
            disarming = Disarming(
                git,
                self._area.orders.get(str(path)),
                leads_to_known=lambda text: _real(place, text) in self._known,
                keeps_worktree=lambda text: self._is_inside(_real(place, text)),
            )
            for done in disarming.carry_out():
                yield f"{place}/{done}"

    def _pointer(self, root: Opened, path: PurePosixPath) -> Iterator[str]:
        """A `.git` that is no folder may lead to one that is looked after, or to nothing."""
        with open_beneath(root, path.parent) as parent:
            text = content(parent, path.name)
            if text is None or text == self._area.pointers.get(str(path)):
                return
            folder = text.removeprefix(LINK if text.startswith(LINK) else "gitdir: ")
            target = _real(self._root / path.parent, folder.rstrip("\r\n"))
            if target not in self._known and (os.path.exists(target) or "\0" in folder):  # noqa: PTH110
                yield f"{self._root / path}: renamed to {set_aside(parent, path.name)}"

    def _is_inside(self, path: str) -> bool:
        return any(map(Path(path).is_relative_to, self._roots))


_Act = Callable[[Opened, PurePosixPath], "Iterator[str]"]


def _real(folder: Path, text: str) -> str:
    """Where git comes to from `folder`; a zero byte is in no path."""
    return text if "\0" in text else os.path.realpath(folder / text)


def _orders(root: Opened, path: PurePosixPath) -> Orders:
    with open_beneath(root, path) as git:
        return orders_of(git)


def _content(root: Opened, path: PurePosixPath) -> str | None:
    with open_beneath(root, path.parent) as parent:
        return content(parent, path.name)


def _printable(line: str) -> str:
    """The run chose the names in it, and a terminal is to show them."""
    return "".join(each if each.isprintable() else "?" for each in line)


def command(folder: RunFolder) -> list[str]:
    """A program that does it."""
    return [sys.executable, "-I", "-m", "moat.workspace.cleanup", str(folder.root)]


def main(run: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    disarm(RunFolder(Path(run)))


if __name__ == "__main__":
    main(sys.argv[1])
