"""The files of a repository that a detector knows, read without following links and with bounds.

A run may be at work in the folder, and the repository may be a stranger's: a link out of it would bring
a file of the user's into `agent.yaml`, where the next run sees it.
"""

from __future__ import annotations

import os
import re
from collections import deque
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.errors import UsageError
from moat.survey.detectors import DETECTORS, LOCK, MOST_FINDINGS, PAGES
from moat.workspace import entries
from moat.workspace.beneath import SymbolicLinkError, open_beneath, open_folder
from moat.workspace.generated import is_generated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.survey.detectors import Detector
    from moat.survey.finding import Finding
    from moat.workspace.beneath import PathHandle

_DEPTH: Final = 2
_MOST_FOLDERS: Final = 200
_MOST_NAMES: Final = 5_000
_MOST_FILES: Final = 200
# YAML takes a second for a hundred kilobytes; what is searched in lock files takes nearly nothing.
_MOST_BYTES: Final = {PAGES: 8 * PAGES, LOCK: 2 * LOCK}
_HIDDEN: Final = frozenset((".devcontainer", ".github"))
_NAME: Final = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
_NOT_OURS: Final = frozenset(("vendor", "third_party", "testdata"))


class Survey(NamedTuple):
    """What the files of a repository say."""

    findings: tuple[Finding, ...]
    """Each with the file that says it; of equal ones the first detector's comes first."""
    passed_over: tuple[str, ...]
    """Why files weren't read, each in a few words."""


def survey(root: Path) -> Survey:
    """Read what a repository says of itself. Raises `UsageError` if its folder can't be read."""
    try:
        with open_folder(root) as handle:
            found = _Files(handle)
            findings = [finding for detector in DETECTORS for finding in found.findings(detector)]
    except OSError as exc:
        raise UsageError(f"{root} can't be read: {exc.strerror}", "Name a folder") from exc
    return Survey(tuple(dict.fromkeys(findings)), tuple(found.passed_over))


class _Files:
    """The files of a repository, with what may still be read of it."""

    def __init__(self, root: PathHandle) -> None:
        self.passed_over: list[str] = []
        self._root = root
        self._files = _MOST_FILES
        self._bytes = dict(_MOST_BYTES)
        self._folders = dict(self._walk())

    def findings(self, detector: Detector) -> Iterator[Finding]:
        for folder, names in self._folders.items():
            for name in names:
                if detector.reads("" if folder == PurePath() else str(folder), name):
                    text = self._text(folder, name, detector.limit)
                    if text is not None:
                        yield from self._said(folder / name, detector, text)

    def _said(self, path: PurePath, detector: Detector, text: str) -> Iterator[Finding]:
        for each in islice(detector.detect(text), MOST_FINDINGS):
            if each.is_readable:
                yield each._replace(source=str(path))

    def _text(self, folder: PurePath, name: str, limit: int) -> str | None:
        """Return the text of a file, or `None` where it is passed over."""
        if not self._files or not self._bytes[limit]:
            self._pass_over(PurePath(), "too many files; some weren't read")
            return None
        try:
            with open_beneath(self._root, folder) as handle:
                text = entries.read_text(handle, name, min(limit, self._bytes[limit]))
        except (OSError, SymbolicLinkError):
            text = entries.UNREADABLE
        if text is None:
            return None
        if not entries.is_regular(text):
            self._pass_over(folder / name, "a link, too large, or not to be read")
            return None
        self._files -= 1
        self._bytes[limit] = max(0, self._bytes[limit] - len(text))
        return text

    def _pass_over(self, path: PurePath, reason: str) -> None:
        text = reason if path == PurePath() else f"{path}: {reason}"
        if text not in self.passed_over:
            self.passed_over.append(text)

    def _walk(self) -> Iterator[tuple[PurePath, list[str]]]:
        """Yield folders and the names in them, the upper ones first."""
        waiting, left = deque([PurePath()]), _MOST_FOLDERS
        while waiting and left:
            left -= 1
            folder = waiting.popleft()
            try:
                with open_beneath(self._root, folder) as handle:
                    names, folders = _names(handle)
            except (OSError, SymbolicLinkError):
                continue  # it has gone or isn't ours to read, and there is nothing to find in it
            yield folder, names
            if len(folder.parts) < _DEPTH:
                waiting += (folder / each for each in folders if _is_own(each, names))


def _names(folder: PathHandle) -> tuple[list[str], list[str]]:
    """Return the plain names of entries, all of them and those of folders, sorted."""
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder.descriptor)
    try:
        with os.scandir(descriptor) as found:
            plain = [each for each in islice(found, _MOST_NAMES) if _NAME.fullmatch(each.name)]
            folders = [each.name for each in plain if each.is_dir(follow_symlinks=False)]
    finally:
        os.close(descriptor)
    return sorted(each.name for each in plain), sorted(folders)


def _is_own(name: str, beside: list[str]) -> bool:
    """Tell whether a folder may have files of the project's own."""
    if name.startswith("."):
        return name in _HIDDEN
    return name not in _NOT_OURS and not is_generated(name, (), beside)
