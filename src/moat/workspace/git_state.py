"""The files of one git folder that git obeys: configurations, pointers, hooks, `info`."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace.beneath import SymbolicLinkError, open_beneath
from moat.workspace.entries import is_regular, list_names, read_text
from moat.workspace.path_rules import GIT, Protection

if TYPE_CHECKING:
    from moat.workspace.beneath import PathHandle

_RESTORED: Final = [rule.path for rule in GIT if rule.protection is Protection.RESTORED]

CONFIGS: Final = tuple(rule.path for rule in GIT if rule.protection is Protection.REVIEWED)
HOOKS: Final = PurePosixPath("hooks")
INFO: Final = tuple(path for path in _RESTORED if path.startswith("info/"))
POINTERS: Final = tuple(path for path in _RESTORED if path not in {HOOKS.name, *INFO})

GitState = dict[str, str | None]
"""By path in the git folder: a file's text, a hook's digest, `None` where nothing is there."""


def git_state(git: PathHandle) -> GitState:
    """Read the state of an open git folder."""
    state: GitState = {name: read_text(git, name) for name in (*CONFIGS, *POINTERS, HOOKS.name)}
    return state | info_texts(git) | hook_digests(git)


def info_texts(git: PathHandle) -> GitState:
    """Return the texts of the files in `info`, without those that are symbolic links or no files."""
    try:
        opened = open_beneath(git, PurePosixPath("info"))
    except FileNotFoundError:
        return dict.fromkeys(INFO)
    except (OSError, SymbolicLinkError):
        return {}
    with opened as info:
        if not info.is_folder:
            return {}
        texts = {path: read_text(info, PurePosixPath(path).name) for path in INFO}
    return {path: text for path, text in texts.items() if text is None or is_regular(text)}


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
