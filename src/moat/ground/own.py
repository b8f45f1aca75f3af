"""Origins of the running Moat: interpreter, packages, libraries, store and settings."""

from __future__ import annotations

import os
import site
import sys
from functools import cache
from typing import TYPE_CHECKING, Final

from moat.errors import UsageError
from moat.ground.areas import Ground, is_in
from moat.ground.way import flaw, steps
from moat.home import WORKTREES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SETTINGS: Final = "config.yaml"
"""The name of the user's settings in the store."""

_INSTALL: Final = (
    "install Moat elsewhere (uv tool install moat, or pipx install moat), or work in another folder"
)
_MOVE: Final = "set MOAT_HOME to a folder elsewhere, or work in another folder"
_SCRIPT: Final = "start it as moat, not as python -m moat; keep a program that uses Moat elsewhere"

# Variables by which Python, OpenSSL and the C library find code.
_LISTS: Final = (
    *("GCONV_PATH", "LD_AUDIT", "LD_LIBRARY_PATH", "LD_PRELOAD", "LOCPATH"),
    *("PYTHONHOME", "PYTHONPATH"),
)
_PATHS: Final = (
    *("OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES"),
    *("PYTHONPYCACHEPREFIX", "PYTHONUSERBASE"),
)
_FILES: Final = ("LD_AUDIT", "LD_PRELOAD")
"""Lists that may have names without a folder, which are looked for in the system's."""

# Prefixes in which folders of projects lie, too. What is imported from there is on `sys.path`.
SYSTEM_PREFIXES: Final = frozenset(("/", "/usr", "/usr/local"))


def own_ground(environment: Mapping[str, str], store: str, command: str = "") -> Iterator[Ground]:
    """Yield what this process runs and believes. `command` is the path by which it was called."""
    yield from _variables(environment)
    yield from _interpreter()
    yield from _import_path()
    yield from _loaded()
    free = os.path.join(os.path.realpath(store), WORKTREES)  # noqa: PTH118  strings, for speed
    yield _ground(store, "where Moat keeps its runs", _MOVE)._replace(free=free)
    yield _ground(f"{store}/{SETTINGS}", "which holds Moat's settings", _MOVE)
    if os.path.exists(command):  # noqa: PTH110  with `python -c`, it isn't the name of a file
        yield from _named(command, "by which moat was started", _INSTALL)


def _ground(path: str, name: str, remedy: str, names: frozenset[str] | None = None) -> Ground:
    return Ground(name, tuple(step.path for step in steps(path)), remedy, names)


def _named(
    path: str, name: str, remedy: str, names: frozenset[str] | None = None
) -> Iterator[Ground]:
    """Yield what a path leads to that may be relative; nothing if the working directory is gone."""
    try:
        yield _ground(os.path.abspath(path), name, remedy, names)  # noqa: PTH100  keeps links
    except FileNotFoundError:
        return


def _variables(environment: Mapping[str, str]) -> Iterator[Ground]:
    """Yield the places that the environment adds. The next moat would take code from there, too."""
    for variable in (*_LISTS, *_PATHS):
        value = environment.get(variable)
        if not value:
            continue
        if variable == "LD_PRELOAD":
            value = value.replace(" ", ":")
        remedy = f"take it out of {variable}, or work in another folder"
        names = _importable() if variable == "PYTHONPATH" else None
        for entry in value.split(":") if variable in _LISTS else (value,):
            if variable not in _FILES or "/" in entry:
                # An empty entry of a list is the working directory.
                yield from _named(entry, f"where {variable} leads", remedy, names)


def _interpreter() -> Iterator[Ground]:
    paths = (sys.executable, sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    for path in dict.fromkeys(filter(None, paths)):
        names = frozenset[str]() if os.path.realpath(path) in SYSTEM_PREFIXES else None
        yield from _named(path, "which is Moat's Python", _INSTALL, names)


def _import_path() -> Iterator[Ground]:
    """Yield the folders that Python imports from, and what links in them lead to."""
    for number, entry in enumerate(sys.path):
        # The first entry is the script's folder, or the one in which `python -m moat` was called.
        remedy = _SCRIPT if number == 0 and not sys.flags.safe_path else _INSTALL
        yield from _named(entry, "from which Moat imports", remedy, _importable())
        for link in _links_in(entry or "."):
            yield from _named(link, "from which Moat imports", _INSTALL)
    if site.ENABLE_USER_SITE and site.USER_SITE is not None:
        yield from _named(site.USER_SITE, "from which Moat imports", _INSTALL)  # may not exist yet
    for name, module in list(sys.modules.items()):
        if name.startswith("__editable__"):
            # A finder of an editable installation, for files that no entry of sys.path leads to.
            for file in getattr(module, "MAPPING", {}).values():
                yield from _named(str(file), "from which Moat imports", _INSTALL)


def _links_in(folder: str) -> list[str]:
    """Return the links in a folder of `sys.path` by which a module could be found."""
    is_installed = any(is_in(folder, prefix) for prefix in (sys.prefix, sys.base_prefix))
    try:
        with os.scandir(folder) as entries:
            return [
                entry.path
                for entry in entries
                if entry.is_symlink()
                and (is_installed or entry.name.partition(".")[0] in _importable())
            ]
    except OSError:
        return []  # an archive, or nothing


@cache
def _importable() -> frozenset[str]:
    """Return the names that this process imports: it takes nothing else from a folder of `sys.path`."""
    loaded = {name.partition(".")[0] for name in list(sys.modules)}
    return sys.stdlib_module_names | loaded


def installation() -> Iterator[str]:
    """Yield the folder of Moat's package, then its Python: what `moat doctor` names."""
    yield os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    yield sys.executable
    yield from (path for path in dict.fromkeys((sys.prefix, sys.base_prefix)) if path)


def _loaded() -> Iterator[Ground]:
    """Yield every file whose code this process has mapped: its program, libraries, modules."""
    yield from _named(next(installation()), "which is Moat", _INSTALL)
    with open("/proc/self/maps", "rb") as file:  # noqa: PTH123  strings, for speed
        lines = file.read().splitlines()
    code = (line for line in lines if b"/" in line and b"x" in line.split(b" ", 2)[1])
    for path in {os.fsdecode(line[line.index(b"/") :]) for line in code}:
        # The kernel gives real paths. A file that was deleted has a name that leads nowhere.
        if os.path.exists(path):  # noqa: PTH110  as above
            yield Ground("which Moat has loaded", (path,), _INSTALL)


def check_settings(store: str) -> None:
    """Raise `UsageError` for settings outside the store that another user could change."""
    path = f"{store}/{SETTINGS}"
    way = steps(path)
    status = way[-1].status
    if status is not None and status.st_nlink > 1:
        raise UsageError(
            f"{path} has another name (hard link), by which a run could write it",
            f"make it a file of its own: cp {path} {path}.own && mv {path}.own {path}",
        )
    if os.path.dirname(way[-1].path) == os.path.realpath(store):  # noqa: PTH120
        return  # nobody else gets into the store
    reason = flaw(way)
    if reason is not None:
        raise UsageError(
            f"the settings can't be trusted: {reason}", f"take that right away, or move {path}"
        )
