"""The quarantine of one git folder after a run: git obeys what it obeyed before, or harmless settings.

The folder is held by a descriptor, for another run may be at work in the same workspace. Nothing is
deleted: what git must not obey stays beside its place under another name.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from moat.workspace import entries, git_config, git_settings
from moat.workspace.beneath import open_beneath
from moat.workspace.git_state import CONFIGS, HOOKS, POINTERS, hook_digests, info_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moat.workspace.beneath import PathHandle
    from moat.workspace.git_state import GitState


# That of a clone with thousands of branches. A hostile run can make any number of repositories, whose
# configurations the next run has to read.
_MAX_NEW_CONFIG: Final = 256 * 1024

Done = tuple[str, str]
"""A path, and what was done about it."""


class GitQuarantine:
    """The quarantine of one git folder.

    `before` is the folder's state at the start, or `None` if it wasn't protected then.
    `is_checked` says whether a path is a git folder that is itself put under quarantine.
    `keeps_worktree` says whether a worktree lies where the run could write.
    """

    def __init__(
        self,
        git: PathHandle,
        before: GitState | None,
        *,
        is_checked: Callable[[str], bool],
        keeps_worktree: Callable[[str], bool],
    ) -> None:
        self._git = git
        self._before = before
        self._is_checked = is_checked
        self._keeps_worktree = keeps_worktree

    def run(self) -> Iterator[Done]:
        """Yield everything that was done: a path in the folder, and words for the user.

        Raises `OSError` where something can't be read or renamed.
        """
        for name in CONFIGS:
            yield from self._check_config(name)
        for name in POINTERS:
            yield from self._check_pointer(name)
        yield from self._check_info()
        yield from self._check_hooks()

    def _changed(self, name: str) -> str | None:
        """Return the text of a file that isn't what it was before."""
        text = entries.read_text(self._git, name)
        return None if text == self._text_before(name) else text

    def _text_before(self, name: str) -> str | None:
        return None if self._before is None else self._before[name]

    def _was_absent(self, name: str) -> bool:
        """Return whether a folder that was protected before didn't have this name then."""
        return self._before is not None and self._before[name] is None

    def _check_config(self, name: str) -> Iterator[Done]:
        text = self._changed(name)
        if text is None:
            return
        is_huge = self._before is None and len(text) > _MAX_NEW_CONFIG
        if self._was_absent(name) or not entries.is_regular(text) or is_huge:
            yield self._set_aside(name)
            return
        review = git_settings.review(text, self._text_before(name) or "", self._keeps_worktree)
        harmless = git_config.render(review.kept)
        if not review.is_clean:
            old = entries.set_aside(self._git, name)
            entries.write_new(self._git, name, harmless)
            names = ", ".join(dict.fromkeys(entry.full_name for entry in review.removed))
            yield name, f"took out {names or 'what git could not read'} (as it was: {old})"
        elif not git_config.is_canonical(text):
            entries.overwrite(self._git, name, harmless)

    def _check_pointer(self, name: str) -> Iterator[Done]:
        text = self._changed(name)
        if text is None:
            return
        before = self._text_before(name)
        if before is not None:
            yield self._set_aside(name)
            entries.write_new(self._git, name, before)
        elif self._was_absent(name) or not self._may_point(name, text):
            yield self._set_aside(name)

    def _may_point(self, name: str, text: str) -> bool:
        """Return whether a new pointer is harmless.

        `gitdir` names a worktree, in which git runs nothing; `commondir` names another git folder.
        """
        if not entries.is_regular(text):
            return False
        return name != "commondir" or self._is_checked(text.rstrip("\r\n"))

    def _check_info(self) -> Iterator[Done]:
        """Restore excludes and attributes; a repository that the run made may keep its own."""
        before = self._before or {}
        for path, text in info_texts(self._git).items():
            if path not in before or text in (None, before[path]):
                continue
            with open_beneath(self._git, PurePosixPath(path).parent) as info:
                name = PurePosixPath(path).name
                yield _renamed(path, entries.set_aside(info, name))
                if (old := before[path]) is not None:
                    entries.write_new(info, name, old)

    def _check_hooks(self) -> Iterator[Done]:
        name = HOOKS.name
        kind = entries.read_text(self._git, name)
        before = self._before or {}
        is_new_link = (
            kind is not None and kind.startswith(entries.LINK) and before.get(name) != kind
        )
        if is_new_link or (kind is not None and self._was_absent(name)):
            yield self._set_aside(name)
            return
        for path, digest in hook_digests(self._git).items():
            if before.get(path) != digest:
                with open_beneath(self._git, HOOKS) as hooks:
                    yield _renamed(path, entries.set_aside(hooks, PurePosixPath(path).name))

    def _set_aside(self, name: str) -> Done:
        return _renamed(name, entries.set_aside(self._git, name))


def _renamed(path: str, new: str) -> Done:
    return path, f"renamed to {new}"
