"""The files of one git folder that git obeys: configurations, pointers, hooks, `info`."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace.beneath import SymbolicLinkError, open_beneath
from moat.workspace.entries import UNREADABLE, is_regular, list_names, read_text
from moat.workspace.known_paths import GIT
from moat.workspace.path_rules import Protection

if TYPE_CHECKING:
    from moat.workspace.beneath import PathHandle

_RESTORED: Final = [rule.path for rule in GIT if rule.protection is Protection.RESTORED]

CONFIGS: Final = tuple(rule.path for rule in GIT if rule.protection is Protection.REVIEWED)
HOOKS: Final = PurePosixPath("hooks")
INFO: Final = tuple(path for path in _RESTORED if "/" in path)
POINTERS: Final = tuple(path for path in _RESTORED if path not in {HOOKS.name, *INFO})

_REPLACE: Final = PurePosixPath("refs/replace")
_PACKED_REPLACEMENT: Final = re.compile(r"^\w+ refs/replace/(\w+)$", re.MULTILINE | re.ASCII)
# Half a million branches.
_MAX_PACKED_REFS: Final = 32 * 1024 * 1024

GitState = dict[str, str | None]
"""A map by path in the git folder: a file's text, a hook's digest, `None` where nothing is there."""


def git_state(git: PathHandle) -> GitState:
    """Read the state of an open git folder."""
    state: GitState = {name: read_text(git, name) for name in (*CONFIGS, *POINTERS, HOOKS.name)}
    return state | info_texts(git) | hook_digests(git)


def info_texts(git: PathHandle) -> GitState:
    """Return the texts of the files in `info`, without those that are symbolic links or no files."""
    texts: GitState = {}
    for path in map(PurePosixPath, INFO):
        try:
            opened = open_beneath(git, path.parent)
        except FileNotFoundError:
            texts[str(path)] = None
            continue
        except (OSError, SymbolicLinkError):
            continue
        with opened as folder:
            text = read_text(folder, path.name) if folder.is_folder else UNREADABLE
        if text is None or is_regular(text):
            texts[str(path)] = text
    return texts


def replacements(git: PathHandle) -> set[str]:
    """Return the names of the objects in whose place git shows others (git-replace(1))."""
    names: set[str] = set()
    with suppress(OSError, SymbolicLinkError), open_beneath(git, _REPLACE) as folder:
        if folder.is_folder:
            names.update(list_names(folder))
    packed = read_text(git, "packed-refs", _MAX_PACKED_REFS) or ""
    if " refs/replace/" in packed:
        names.update(_PACKED_REPLACEMENT.findall(packed))
    return names


def hook_digests(git: PathHandle) -> GitState:
    """Return the SHA-256 digest of every hook. A name with a dot (`pre-commit.sample`) isn't a hook."""
    try:
        opened = open_beneath(git, HOOKS)
    except (OSError, SymbolicLinkError):
        return {}
    with opened as hooks:
        if not hooks.is_folder:
            return {}
        texts = {name: read_text(hooks, name) for name in list_names(hooks) if "." not in name}
    return {f"{HOOKS}/{name}": _digest(text) for name, text in texts.items() if text is not None}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
