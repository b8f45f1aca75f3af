"""The user's toolchains: what lies behind PATH, outside the system's folders.

They are shown read-only at the same absolute paths, because shebangs, virtual environments and
shims name those. The home folder itself is never shown, and nothing that holds one of `SECRETS`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.engines.bubblewrap.system import STANDARD_PATH, SYSTEM_FOLDERS
from moat.workspace.beneath import SymbolicLinkError, overlap, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Version managers whose commands need the whole folder, below the home folder; and the variable
# that tells them where it is, now that the home folder is another.
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

# Below the home folder: neither these, nor what holds them, nor what lies in them is a toolchain.
SECRETS: Final = (
    *(".aws", ".azure", ".boto", ".cargo/credentials", ".cargo/credentials.toml", ".config"),
    *(".claude/.credentials.json", ".codex/auth.json", ".docker", ".gem/credentials", ".gemini"),
    *(
        ".git-credentials",
        ".gnupg",
        ".kube",
        ".local/share/keyrings",
        ".local/share/uv/credentials",
    ),
    *(
        ".local/state",
        ".moat",
        ".mozilla",
        ".netrc",
        ".npmrc",
        ".password-store",
        ".pki",
        ".pypirc",
    ),
    *(".ssh", ".terraform.d", ".thunderbird", ".vault-token"),
)

# Folders that mark the parent of a bin as an installation, not as a project or a home.
_INSTALLATION: Final = ("lib", "lib64", "libexec", "pyvenv.cfg")
# Below these, each folder is one program's own.
_PROGRAM_FOLDERS: Final = (".local/share", ".local/lib", ".local/opt")


@dataclass(frozen=True, slots=True)
class Grounds:
    """Which folders are whose; all resolved."""

    home: Path
    workspace: Path
    store: Path
    """MOAT_HOME."""

    def forbid(self, path: Path) -> bool:
        """Whether showing `path` would show a secret, the home folder, the store or the code."""
        secrets = (self.store, *(self.home / name for name in SECRETS))
        return (
            self.home.is_relative_to(path)
            or overlap(path, self.workspace)
            or any(overlap(path, secret) for secret in secrets)
        )


@dataclass(slots=True)
class Toolchains:
    """What PATH needs in the sandbox."""

    roots: list[Path] = field(default_factory=list[Path])
    """Files and folders to be shown, read-only, where they are."""
    path: list[str] = field(default_factory=list[str])
    """PATH as it is in the sandbox."""
    env: dict[str, str] = field(default_factory=dict[str, str])

    def shows(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in (*self.roots, *SYSTEM_FOLDERS))


def find_toolchains(host_path: str, grounds: Grounds) -> Toolchains:
    """Follow each folder of `host_path` to what its programs need."""
    found = Toolchains()
    for entry in host_path.split(":"):
        # A relative one names a folder of wherever the user was.
        folder = _resolve(entry, grounds) if entry.startswith("/") else None
        if folder is None or not folder.is_dir():
            continue
        if folder.is_relative_to(grounds.workspace):
            # It is there already, under another name.
            found.path.append(str(Path("/workspace", folder.relative_to(grounds.workspace))))
        elif _in_system(folder):
            found.path.append(entry)
        elif _show_folder(found, folder, grounds):
            found.path.append(str(folder))
    found.path = list(dict.fromkeys([*found.path, *filter(os.path.isdir, STANDARD_PATH)]))
    return found


def _resolve(path: str, grounds: Grounds) -> Path | None:
    """`None` for a way through links in the workspace: an earlier run may have made them."""
    try:
        return resolve(Path(path), grounds.workspace)
    except SymbolicLinkError:
        return None


def _in_system(path: Path) -> bool:
    return any(path.is_relative_to(root) for root in SYSTEM_FOLDERS)


def _show_folder(found: Toolchains, folder: Path, grounds: Grounds) -> bool:
    """Show a folder of programs and whatever its links lead to; whether it may be shown."""
    if found.shows(folder):
        return True
    root = _root_of(folder, grounds)
    if root is None:
        return False
    _show(found, root, grounds)
    for target in _link_targets(folder, grounds):
        _show_program(found, target, grounds)
    return True


def _show_program(found: Toolchains, program: Path, grounds: Grounds) -> None:
    if found.shows(program):
        return
    if program.parent.name == "bin" and _is_installation(program.parent.parent):
        _show_folder(found, program.parent, grounds)
        return
    root = _program_folder(program, grounds.home) or program
    for candidate in (root, program):
        if not grounds.forbid(candidate):
            _show(found, candidate, grounds)
            return


def _show(found: Toolchains, root: Path, grounds: Grounds) -> None:
    found.roots.append(root)
    for name, variable in _MANAGERS.items():
        if root == grounds.home / name:
            found.env[variable] = str(root)
    rustup = grounds.home / _RUSTUP
    if root == grounds.home / _CARGO and rustup.is_dir() and rustup not in found.roots:
        _show(found, rustup, grounds)  # cargo and rustc there are doors to these


def _root_of(folder: Path, grounds: Grounds) -> Path | None:
    """The largest part of an installation around a folder of programs that may be shown."""
    for name in _MANAGERS:
        manager = grounds.home / name
        if folder.is_relative_to(manager) and manager.is_dir():
            return manager
    prefix = folder.parent
    if folder.name in {"bin", "sbin"} and _is_installation(prefix) and not grounds.forbid(prefix):
        return prefix
    return None if grounds.forbid(folder) else folder


def _is_installation(prefix: Path) -> bool:
    return not (prefix / ".git").exists() and any((prefix / m).exists() for m in _INSTALLATION)


def _program_folder(program: Path, home: Path) -> Path | None:
    for name in _PROGRAM_FOLDERS:
        if program.is_relative_to(home / name):
            return home / name / program.relative_to(home / name).parts[0]
    return None


def _link_targets(folder: Path, grounds: Grounds) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        links = [entry.path for entry in entries if entry.is_symlink()]
    for link in links:
        target = _resolve(link, grounds)
        if target is not None and target.is_file():
            yield target
