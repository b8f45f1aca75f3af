"""The mounts that show the user's toolchains, read-only and without what is secret in them."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from moat.engines.bubblewrap.toolchains import layouts
from moat.engines.bubblewrap.toolchains.find import find_toolchains
from moat.engines.bubblewrap.toolchains.search import UnsearchableError, hidden_in
from moat.engines.under_shim.places import SYSTEM_FOLDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.engines.bubblewrap.mounts import Mounts
    from moat.engines.bubblewrap.toolchains.ahead import Found
    from moat.engines.bubblewrap.toolchains.find import HostFolders, Toolchains

log = logging.getLogger(__name__)

_SETTINGS_OF_SYSTEM: Final = tuple(map(Path, ("/opt", "/usr/etc", "/usr/local/etc")))
"""Folders among the system's software where administrators leave settings of programs."""
_SINGLE_SETTINGS: Final = tuple(
    Path(f"{prefix}/{name}")
    for prefix in ("/usr", "/usr/local")
    for name in ("pip.conf", "lib/node_modules/npm/npmrc")
)


@dataclass(frozen=True, slots=True)
class Software:
    """The user's toolchains, and what a sandbox must not see of them and of the system's software."""

    toolchains: Toolchains
    hidden: Mapping[Path, Mapping[str, bool]]
    """Paths to hide, by root of the toolchains or folder of the system; see `search.hidden_in`."""

    @classmethod
    def of(cls, host_path: str, host: HostFolders, searched: Found) -> Self:
        """Find it, and search what is not among `searched`.

        What can't be searched is left out, and the log says so.
        """
        toolchains = find_toolchains(host_path, host)
        system = {Path(os.path.realpath(folder)) for folder in _SETTINGS_OF_SYSTEM}
        hidden: dict[Path, Mapping[str, bool]] = {}
        for root in (*toolchains.roots, *filter(_is_shown_with_system, system)):
            if not root.is_dir():
                continue
            omitted = layouts.NOT_NEEDED if root in toolchains.prefixes else frozenset[str]()
            try:
                hidden[root] = (
                    searched[str(root)] if str(root) in searched else hidden_in(root, omitted)
                )
            except UnsearchableError as exc:
                log.warning("not shown in the sandbox: %s", exc)
                if root not in toolchains.roots:
                    hidden[root] = {"": True}  # it is mounted with the system, so it is covered
        kept = [root for root in toolchains.roots if root in hidden or not root.is_dir()]
        return cls(replace(toolchains, roots=kept), hidden)

    def mount(self, mounts: Mounts) -> None:
        """Mount the toolchains, and hide what is secret of the system's software."""
        for root in sorted(self.toolchains.roots):
            hidden = self.hidden.get(root, {})
            if self._comes_in_parts(root):
                _mount_parts(mounts, root, "", hidden)
            else:
                mounts.bind_read_only(root, root)
        for root, hidden in sorted(self.hidden.items()):
            is_in_parts = self._comes_in_parts(root)
            for path, is_folder in sorted(hidden.items()):
                if not (is_in_parts and _is_setting(path)):
                    mounts.hide(root / path, is_folder=is_folder)
        for file in filter(Path.is_file, _SINGLE_SETTINGS):
            mounts.hide(file, is_folder=False)

    def _comes_in_parts(self, root: Path) -> bool:
        return root in self.toolchains.prefixes and any(
            _is_setting(path) for path, is_folder in self.hidden[root].items() if not is_folder
        )


def _is_shown_with_system(folder: Path) -> bool:
    return folder.is_dir() and any(map(folder.is_relative_to, SYSTEM_FOLDERS))


def _is_setting(path: str) -> bool:
    """Return whether this lies where an installation keeps its settings: at its top, or in etc."""
    folder, _, _ = path.rpartition("/")
    return not folder or folder in layouts.SETTINGS


def _mount_parts(mounts: Mounts, root: Path, folder: str, hidden: Mapping[str, bool]) -> None:
    """Mount what is in a folder one by one, and so leave out what is hidden there.

    A cover is a mount on one file. A program that changes its settings puts another file in the place
    of that one, and nothing covers it. Here, nothing that comes later is shown. That takes a mount for
    each name, so it is done for installations that have such settings.
    """
    with os.scandir(root / folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            inside = f"{folder}{entry.name}"
            if inside in hidden:
                continue
            if entry.is_symlink():
                mounts.symlink(os.readlink(entry.path), entry.path)  # noqa: PTH115  strings, for speed
            elif inside in layouts.SETTINGS and entry.is_dir():
                mounts.make_folder(entry.path)
                _mount_parts(mounts, root, f"{inside}/", hidden)
            else:
                mounts.bind_read_only(Path(entry.path), entry.path)
