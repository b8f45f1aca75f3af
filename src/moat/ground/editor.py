"""The user's editor, found without asking PATH, for a text that isn't in a project yet."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from moat.errors import UsageError
from moat.ground import programs

_VARIABLES: Final = ("VISUAL", "EDITOR")
_USUAL: Final = ("editor", "nano", "vi")
_KEPT: Final = (
    *("HOME", "USER", "TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "XDG_CONFIG_HOME"),
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
    "VSCODE_IPC_HOOK_CLI",
)
"""Variables that an editor needs to find its terminal or desktop, and what its user has set up."""


def edited(text: str, name: str, limit: int) -> str:
    """Return what the user makes of a text in an editor, which sees it as a file `name`.

    The editor works in a folder of its own, for many obey files beside the one that they edit. Raises
    `UsageError` where there is no editor, and where it fails.
    """
    with tempfile.TemporaryDirectory(prefix="moat-") as folder:
        file = Path(folder, name)
        file.write_bytes(text.encode())
        done = subprocess.run([*_words(), str(file)], cwd=folder, env=_environment(), check=False)
        if done.returncode:
            raise UsageError(f"the editor ended with exit code {done.returncode}")
        try:
            with file.open("rb") as changed:
                return changed.read(limit + 1).decode()
        except (OSError, UnicodeDecodeError) as exc:
            raise UsageError(f"what the editor has left can't be read: {exc}") from exc


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath} | {name: os.environ[name] for name in _KEPT if name in os.environ}


def _words() -> list[str]:
    """Return the command line of $VISUAL or $EDITOR, or of an editor that is usually there."""
    for variable in _VARIABLES:
        if os.environ.get(variable):
            return _chosen(variable, os.environ[variable])
    for name in _USUAL:
        if (path := programs.search(name).path) is not None:
            return [path]
    raise UsageError("there is no editor here", "Set EDITOR to one")


def _chosen(variable: str, text: str) -> list[str]:
    try:
        name, *words = shlex.split(text)
    except ValueError:
        raise UsageError(f"${variable} is no command line: {text!r}", "Mend it") from None
    path = programs.search(name, name if "/" in name else "").path
    if path is None:
        raise UsageError(
            f"${variable} names {name!r}, which isn't in a system's folder or can be written by others",
            "Give its absolute path, or name another editor",
        )
    return [path, *words]
