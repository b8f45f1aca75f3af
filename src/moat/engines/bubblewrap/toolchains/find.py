"""Search of the folders of the user's PATH for what their programs need.

The home folder itself is never shown, nor anything that holds a path of `secret_paths.HOME`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from moat.engines.bubblewrap.system import STANDARD_PATH
from moat.engines.bubblewrap.toolchains import layouts
from moat.engines.bubblewrap.toolchains.versions import chosen_versions
from moat.engines.under_shim import secret_paths
from moat.engines.under_shim.places import SYSTEM_FOLDERS
from moat.workspace.beneath import SymbolicLinkError, overlap, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class HostFolders:
    """The user's folders that decide what a sandbox may show; symbolic links are resolved."""

    home: Path
    workspace: Path
    store: Path
    """MOAT_HOME."""

    def is_private(self, path: Path) -> bool:
        """Return whether `path` would show a secret, the home folder, the store or the workspace."""
        if any(path.is_relative_to(self.home / name) for name in layouts.PUBLIC):
            return overlap(path, self.workspace)
        secrets = (self.store, *(self.home / name for name in secret_paths.HOME))
        return (
            self.home.is_relative_to(path)
            or overlap(path, self.workspace)
            or any(overlap(path, secret) for secret in secrets)
        )


@dataclass(slots=True)
class Toolchains:
    """The part of the user's software that a sandbox shows."""

    roots: list[Path] = field(default_factory=list[Path])
    """Files and folders to mount read-only where they are."""
    prefixes: set[Path] = field(default_factory=set[Path])
    """The roots that are whole installations, with settings among the programs."""
    path: list[str] = field(default_factory=list[str])
    """The folders of PATH in the sandbox."""
    env: dict[str, str] = field(default_factory=dict[str, str])

    def shows(self, path: Path) -> bool:
        """Return whether the sandbox sees the host's file at this path."""
        return any(path.is_relative_to(root) for root in (*self.roots, *SYSTEM_FOLDERS))


def find_toolchains(host_path: str, host: HostFolders) -> Toolchains:
    """Follow each folder of the user's PATH to what its programs need."""
    found = Toolchains()
    for entry in host_path.split(":"):
        # A relative entry names a folder below wherever the user was.
        folder = _resolve(entry, host) if entry.startswith("/") else None
        if folder is None or entry in layouts.UNUSABLE or not folder.is_dir():
            continue
        if folder.is_relative_to(host.workspace):
            # The sandbox has it already, under another name.
            found.path.append(str(Path("/workspace", folder.relative_to(host.workspace))))
        elif _in_system(folder):
            # A link outside the system's folders, such as Nix's ~/.nix-profile, isn't shown.
            found.path.append(entry if _in_system(Path(entry)) else str(folder))
        elif _add_folder(found, folder, host):
            found.path.append(str(folder))
    found.path = list(dict.fromkeys([*found.path, *filter(os.path.isdir, STANDARD_PATH)]))
    found.env |= chosen_versions(host.home, found.env.keys())
    return found


def _resolve(path: str, host: HostFolders) -> Path | None:
    """Resolve links on the way, but not those in the workspace: an earlier run may have made them."""
    try:
        return resolve(Path(path), host.workspace)
    except (SymbolicLinkError, PermissionError):
        return None  # a PATH of another user's, as `su` keeps it, leads where we may not go


def _in_system(path: Path) -> bool:
    return any(path.is_relative_to(root) for root in SYSTEM_FOLDERS)


def _add_folder(found: Toolchains, folder: Path, host: HostFolders) -> bool:
    """Add a folder of programs and what its links lead to; return whether it may be shown."""
    if found.shows(folder):
        return True
    root = _root_of(folder, host)
    if root is None:
        return False
    _add_root(found, root, host)
    if root == folder and folder.name in layouts.BIN and not host.is_private(folder.parent):
        _add_project_libraries(found, folder.parent)
    for target in _link_targets(folder, host):
        _add_program(found, target, host)
    return True


def _add_program(found: Toolchains, program: Path, host: HostFolders) -> None:
    if found.shows(program):
        return
    if program.parent.name in layouts.BIN and _is_installation(program.parent.parent):
        _add_folder(found, program.parent, host)
        return
    packages = _packages_around(program)
    root = packages or _program_folder(program, host.home) or program
    for candidate in (root, program):
        if not host.is_private(candidate):
            _add_root(found, candidate, host)
            return


def _add_root(found: Toolchains, root: Path, host: HostFolders) -> None:
    found.roots.append(root)
    if _is_manager(root, host) or _is_prefix(root):
        found.prefixes.add(root)
    for name, variable in layouts.MANAGERS.items():
        if variable is not None and root == host.home / name:
            found.env[variable] = str(root)
    rustup = host.home / layouts.RUSTUP
    if root == host.home / layouts.CARGO and rustup.is_dir() and rustup not in found.roots:
        _add_root(found, rustup, host)  # cargo and rustc in ~/.cargo/bin start programs of rustup's


def _add_project_libraries(found: Toolchains, project: Path) -> None:
    for name in layouts.OF_PROJECTS:
        part = project / name
        if part.is_dir() and not part.is_symlink() and not found.shows(part):
            found.roots.append(part)


def _root_of(folder: Path, host: HostFolders) -> Path | None:
    """Return the largest part of the installation around a folder of programs that may be shown."""
    for name in layouts.MANAGERS:
        manager = host.home / name
        if folder.is_relative_to(manager) and manager.is_dir():
            return manager
    above = folder.parent
    is_whole = (folder.name in layouts.BIN and _is_installation(above)) or (
        layouts.DEPENDENCIES.get(above.name) == folder.name
    )
    if is_whole and not host.is_private(above):
        return above
    return None if host.is_private(folder) else folder


def _is_manager(root: Path, host: HostFolders) -> bool:
    return any(root == host.home / name for name in layouts.MANAGERS)


def _is_prefix(root: Path) -> bool:
    return root.is_dir() and any((root / name).is_dir() for name in layouts.BIN)


def _is_installation(prefix: Path) -> bool:
    if (prefix / layouts.ENVIRONMENT).exists():
        return True
    if any((prefix / mark).exists() for mark in layouts.PROJECT):
        return False
    return any((prefix / mark).exists() for mark in layouts.INSTALLATION)


def _packages_around(program: Path) -> Path | None:
    """Return the outermost folder of packages that a program lies in: they load one another."""
    for parent in reversed(program.parents):
        if parent.name in layouts.DEPENDENCIES:
            return parent
    return None


def _program_folder(program: Path, home: Path) -> Path | None:
    for name in layouts.PROGRAM_FOLDERS:
        if program.is_relative_to(home / name):
            return home / name / program.relative_to(home / name).parts[0]
    return None


def _link_targets(folder: Path, host: HostFolders) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            links = [entry.path for entry in entries if entry.is_symlink()]
    except PermissionError:
        return  # its programs can be started by their names, and not listed
    for link in links:
        target = _resolve(link, host)
        if target is not None and target.is_file():
            yield target
