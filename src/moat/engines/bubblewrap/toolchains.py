"""The user's toolchains: what PATH leads to outside the system's folders.

They are mounted read-only at the same absolute paths, because shebangs, virtual environments and
shims name those. The home folder itself is never shown, nor anything that holds a path of
`secret_paths.HOME`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.engines.bubblewrap import secret_paths
from moat.engines.bubblewrap.system import STANDARD_PATH, SYSTEM_FOLDERS
from moat.workspace.beneath import SymbolicLinkError, overlap, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Version managers whose commands need the whole folder, by path below the home folder, and the
# variable that says where the folder is: the sandbox's home folder is another.
_MANAGERS: Final[Mapping[str, str]] = {
    ".asdf": "ASDF_DATA_DIR",
    ".fnm": "FNM_DIR",
    ".local/share/fnm": "FNM_DIR",
    ".local/share/mise": "MISE_DATA_DIR",
    ".nodenv": "NODENV_ROOT",
    ".nvm": "NVM_DIR",
    ".pyenv": "PYENV_ROOT",
    ".rbenv": "RBENV_ROOT",
    ".rustup": "RUSTUP_HOME",
    ".sdkman": "SDKMAN_DIR",
    ".volta": "VOLTA_HOME",
}
_CARGO, _RUSTUP = ".cargo/bin", ".rustup"

# Names that mark the parent of a `bin` as an installation rather than a project or a home folder.
_INSTALLATION: Final = ("lib", "lib64", "libexec", "pyvenv.cfg")
# Each folder below these belongs to one program.
_PROGRAM_FOLDERS: Final = (".local/share", ".local/lib", ".local/opt")


@dataclass(frozen=True, slots=True)
class HostFolders:
    """The user's folders that decide what a sandbox may show; symbolic links are resolved."""

    home: Path
    workspace: Path
    store: Path
    """MOAT_HOME."""

    def is_private(self, path: Path) -> bool:
        """Return whether `path` would show a secret, the home folder, the store or the workspace."""
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
        if folder is None or not folder.is_dir():
            continue
        if folder.is_relative_to(host.workspace):
            # The sandbox has it already, under another name.
            found.path.append(str(Path("/workspace", folder.relative_to(host.workspace))))
        elif _in_system(folder):
            found.path.append(entry)
        elif _add_folder(found, folder, host):
            found.path.append(str(folder))
    found.path = list(dict.fromkeys([*found.path, *filter(os.path.isdir, STANDARD_PATH)]))
    return found


def _resolve(path: str, host: HostFolders) -> Path | None:
    """Resolve links on the way, but not those in the workspace: an earlier run may have made them."""
    try:
        return resolve(Path(path), host.workspace)
    except SymbolicLinkError:
        return None


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
    for target in _link_targets(folder, host):
        _add_program(found, target, host)
    return True


def _add_program(found: Toolchains, program: Path, host: HostFolders) -> None:
    if found.shows(program):
        return
    if program.parent.name == "bin" and _is_installation(program.parent.parent):
        _add_folder(found, program.parent, host)
        return
    root = _program_folder(program, host.home) or program
    for candidate in (root, program):
        if not host.is_private(candidate):
            _add_root(found, candidate, host)
            return


def _add_root(found: Toolchains, root: Path, host: HostFolders) -> None:
    found.roots.append(root)
    for name, variable in _MANAGERS.items():
        if root == host.home / name:
            found.env[variable] = str(root)
    rustup = host.home / _RUSTUP
    if root == host.home / _CARGO and rustup.is_dir() and rustup not in found.roots:
        _add_root(found, rustup, host)  # cargo and rustc in ~/.cargo/bin start programs of rustup's


def _root_of(folder: Path, host: HostFolders) -> Path | None:
    """Return the largest part of the installation around a folder of programs that may be shown."""
    for name in _MANAGERS:
        manager = host.home / name
        if folder.is_relative_to(manager) and manager.is_dir():
            return manager
    prefix = folder.parent
    if folder.name in {"bin", "sbin"} and _is_installation(prefix) and not host.is_private(prefix):
        return prefix
    return None if host.is_private(folder) else folder


def _is_installation(prefix: Path) -> bool:
    return not (prefix / ".git").exists() and any((prefix / m).exists() for m in _INSTALLATION)


def _program_folder(program: Path, home: Path) -> Path | None:
    for name in _PROGRAM_FOLDERS:
        if program.is_relative_to(home / name):
            return home / name / program.relative_to(home / name).parts[0]
    return None


def _link_targets(folder: Path, host: HostFolders) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        links = [entry.path for entry in entries if entry.is_symlink()]
    for link in links:
        target = _resolve(link, host)
        if target is not None and target.is_file():
            yield target
