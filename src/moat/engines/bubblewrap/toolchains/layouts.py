"""Layouts of version managers, installations and projects. Pure data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGERS: Final[Mapping[str, str | None]] = {
    ".asdf": "ASDF_DATA_DIR",
    ".bun": "BUN_INSTALL",
    ".deno": "DENO_INSTALL",
    ".dotnet": "DOTNET_ROOT",
    ".fnm": "FNM_DIR",
    ".ghcup": None,
    ".goenv": "GOENV_ROOT",
    ".jenv": "JENV_ROOT",
    ".juliaup": None,
    ".linuxbrew": "HOMEBREW_PREFIX",
    ".local/share/fnm": "FNM_DIR",
    ".local/share/mise": "MISE_DATA_DIR",
    ".local/share/pnpm": "PNPM_HOME",
    ".nodenv": "NODENV_ROOT",
    ".nvm": "NVM_DIR",
    ".opam": "OPAMROOT",
    ".phpenv": "PHPENV_ROOT",
    ".pixi": "PIXI_HOME",
    ".proto": "PROTO_HOME",
    ".pyenv": "PYENV_ROOT",
    ".rbenv": "RBENV_ROOT",
    ".rustup": "RUSTUP_HOME",
    ".rvm": "rvm_path",
    ".sdkman": "SDKMAN_DIR",
    ".volta": "VOLTA_HOME",
    "/home/linuxbrew/.linuxbrew": "HOMEBREW_PREFIX",
}
"""Folders whose programs need all of them, by path below the home folder or absolute.

The value is the variable that says where the folder is: the sandbox's home folder is another.
"""

CARGO, RUSTUP = ".cargo/bin", ".rustup"

BIN: Final = frozenset(("bin", "sbin", "condabin"))
INSTALLATION: Final = ("lib", "lib64", "libexec")
"""Names that mark the parent of a `bin` as an installation, if nothing says that it is a project."""
ENVIRONMENT: Final = "pyvenv.cfg"
"""The mark of a virtual environment of Python."""
PROJECT: Final = (
    *(".git", ".hg", ".svn", ".jj", ".env", ".envrc", "package.json", "pyproject.toml", "setup.py"),
    *("requirements.txt", "manage.py", "Cargo.toml", "go.mod", "Gemfile", "Rakefile", "mix.exs"),
    *("composer.json", "pom.xml", "build.gradle", "build.gradle.kts", "Makefile", "CMakeLists.txt"),
    *("meson.build", "MODULE.bazel", "Dockerfile", "docker-compose.yml", "compose.yaml"),
    *("deno.json", "flake.nix", "agent.yaml"),
)
"""Names that mark the parent of a `bin` as somebody's project."""
OF_PROJECTS: Final = ("lib", "libexec")
"""Folders beside a project's `bin` from which its programs load."""

DEPENDENCIES: Final[Mapping[str, str]] = {"node_modules": ".bin", "vendor": "bin"}
"""Folders into which a package manager puts all packages of a project, and the programs in each."""

PROGRAM_FOLDERS: Final = (".local/share", ".local/lib", ".local/opt")
"""Each folder below these, in the home folder, belongs to one program."""

PUBLIC: Final = (".config/composer/vendor", ".config/yarn/global/node_modules")
"""Packages that lie, in the home folder, among what is secret otherwise."""

NOT_NEEDED: Final = frozenset(("var", "pkgs", ".cache", "downloads", "archives"))
"""Folders at the top of an installation or manager that no program needs to run.

A Homebrew's `var` has databases in it. The others are what was downloaded, and large.
"""
SETTINGS: Final = frozenset(("etc", "conf"))
"""Names at the top of an installation that hold its settings, among which secrets come and go."""

UNUSABLE: Final[Mapping[str, str]] = {
    "/snap/bin": "snaps are started by a service and a setuid program",
    "/var/lib/snapd/snap/bin": "snaps are started by a service and a setuid program",
    "/var/lib/flatpak/exports/bin": "flatpaks make sandboxes of their own",
}
"""Folders whose programs don't start in a sandbox, and why."""
