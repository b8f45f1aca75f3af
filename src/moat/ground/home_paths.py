"""Paths of a home folder from which programs take commands without being asked. Pure data.

A run that could write one of them would have the user's next login, shell or `git status` run what it
wrote. Those that hold secrets as well are in `engines.under_shim.secret_paths`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OBEYED: Final[Mapping[str, str]] = {
    ".aws": "the AWS CLI",
    ".bash_aliases": "bash",
    ".bash_login": "bash",
    ".bash_logout": "bash",
    ".bash_profile": "bash",
    ".bashrc": "bash",
    ".config": "the desktop, systemd, git, fish and many others",
    ".cshrc": "csh",
    ".docker": "Docker",
    ".emacs": "Emacs",
    ".emacs.d": "Emacs",
    ".gdbinit": "gdb",
    ".gitconfig": "git",
    ".gnupg": "GnuPG",
    ".hgrc": "Mercurial",
    ".inputrc": "readline",
    ".kshrc": "ksh",
    ".kube": "kubectl",
    ".local/bin": "the shell, which finds programs there",
    ".local/share/applications": "the desktop",
    ".local/share/dbus-1": "D-Bus",
    ".local/share/systemd": "systemd",
    ".local/state/nix": "Nix",
    ".login": "csh",
    ".nix-profile": "Nix",
    ".npmrc": "npm",
    ".oh-my-zsh": "zsh",
    ".pam_environment": "PAM",
    ".profile": "the shell",
    ".psqlrc": "psql",
    ".screenrc": "screen",
    ".ssh": "OpenSSH",
    ".tcshrc": "tcsh",
    ".tmux.conf": "tmux",
    ".tool-versions": "asdf and mise",
    ".vim": "Vim",
    ".vimrc": "Vim",
    ".xinitrc": "X11",
    ".xprofile": "X11",
    ".xsession": "X11",
    ".zlogin": "zsh",
    ".zprofile": "zsh",
    ".zshenv": "zsh",
    ".zshrc": "zsh",
    "bin": "the shell, which finds programs there",
}
"""Paths below the home folder, and who obeys what is there."""
