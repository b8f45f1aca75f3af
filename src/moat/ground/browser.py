"""The user's browser, opened by a program of the host that no run can have written."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING, Final

from moat.ground import programs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_OPENERS: Final = ("xdg-open", "open")
_DESKTOP: Final = (
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "XDG_CURRENT_DESKTOP"),
    *("DBUS_SESSION_BUS_ADDRESS", "HOME", "LANG"),
)
"""Variables that a desktop's opener needs to find the browser."""
_EDITOR: Final = "VSCODE_IPC_HOOK_CLI"
"""A variable for the helper of an editor on another machine, which is the browser there."""


def open_on_desktop(url: str) -> bool:
    """Open a page where there is a desktop, and tell whether there is one."""
    if "DISPLAY" not in os.environ and "WAYLAND_DISPLAY" not in os.environ:
        return False
    for name in _OPENERS:
        opener = programs.search(name).path
        if opener is not None:
            subprocess.run(
                [opener, url],
                env=_environment(_DESKTOP),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            return True
    return False


def open_page(url: str) -> bool:
    """Open a page as $BROWSER says, or else on the desktop; tell whether anything could open it."""
    for words in _chosen(os.environ.get("BROWSER", ""), url):
        # It may be one for the terminal.
        subprocess.run(words, env=_environment((*_DESKTOP, _EDITOR, "TERM")), check=False)
        return True
    return open_on_desktop(url)


def _chosen(variable: str, url: str) -> Iterator[list[str]]:
    """Yield the command lines of $BROWSER whose program can be trusted: `PROGRAM [%s][:PROGRAM...]`."""
    for each in variable.split(os.pathsep):
        try:
            name, *words = shlex.split(each)
        except ValueError:  # empty, or a quote without its end
            continue
        path = programs.search(name, name if "/" in name else "").path
        if path is not None:
            given = [word.replace("%s", url) for word in words]
            yield [path, *given, *([] if "%s" in each else [url])]


def _environment(names: Iterable[str]) -> dict[str, str]:
    return {"PATH": os.defpath} | {name: os.environ[name] for name in names if name in os.environ}
