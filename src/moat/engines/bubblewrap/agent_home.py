"""The folders of the sandbox's home that last from run to run, and the files that an agent finds there.

Earlier runs have written the folders that last, and another run of the same project may be writing them
now. So nothing in them is opened through a symbolic link, each is mounted by its descriptor, and what is
read there is bounded. What is this run's alone, such as a login of placeholders, lies in its own home:
the folder that lasts has a symbolic link, which leads to another file in each run.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, cast

from moat import typed_json
from moat.engines.bubblewrap.system import HOME
from moat.errors import UsageError
from moat.paths import agent_files
from moat.runs import project_folders
from moat.spec.agent import AGENT_FILES, GUIDE
from moat.workspace.beneath import PathHandle, open_folder

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from moat.engines.bubblewrap.mounts import Mounts
    from moat.spec import AgentSetup, RunSpec

_OWN: Final = ".moat"
"""The folder of the home, this run's alone, to which links in folders that last lead."""
_MAX_MERGED: Final = 4 * 1024 * 1024
"""Bytes of a file that is merged. A larger one is left as it is."""
_MAX_ITEMS: Final = 100
"""Items of a list that is merged: each run may add one."""
_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def mount_agent_home(mounts: Mounts, spec: RunSpec, private: Path) -> None:
    """Mount what lasts, and make the agent's files.

    Raises `UsageError` where what a run has left is in the way.
    """
    agent = spec.agent
    if agent is None:
        return
    fixed = agent_files(private)
    fixed.mkdir(mode=0o700, parents=True, exist_ok=True)
    mounts.bind_read_only(fixed, AGENT_FILES)
    own = private / "home" / _OWN
    for path, content in _own_files(agent, spec):
        (own / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (own / path).write_text(content, encoding="utf-8")
    root = private / "home"
    if agent.state:
        root = Path(agent.state)
        project_folders.prepare(root, spec.workspace)
    for name in agent.folders:
        try:
            with _made_folder(root, PurePosixPath(name)) as folder:
                _Home(folder, name).fill(agent, spec)
                if agent.state:
                    mounts.bind_handle(folder, f"{HOME}/{name}", writable=True)
        except OSError as exc:
            raise UsageError(
                f"what {agent.name} has kept of this project can't be used: {exc.strerror}: {name}",
                "Start without it (--fresh), or remove it: moat state rm",
            ) from exc


def _own_files(agent: AgentSetup, spec: RunSpec) -> Iterator[tuple[str, str]]:
    """Yield the files of this run alone that folders that last lead to."""
    granted = {each.path: each.content for grant in spec.grants for each in grant.files}
    mine = {each.path: each.content for each in agent.files if each.kind == "run"}
    for path, content in {**mine, **granted}.items():
        if path in agent.credentials:
            yield path, content


class _Home:
    """One folder that lasts, open, and what this run puts into it."""

    def __init__(self, folder: PathHandle, name: str) -> None:
        self._folder = folder
        self._name = name

    def fill(self, agent: AgentSetup, spec: RunSpec) -> None:
        own = dict(_own_files(agent, spec))
        for path in agent.credentials:
            self._link(path, f"{HOME}/{_OWN}/{path}" if path in own else None)
        if agent.guide:
            self._link(agent.guide, f"{AGENT_FILES}/{GUIDE}")
        for seed in (each for grant in spec.grants for each in grant.files):
            if seed.path not in own:
                self._write_once(seed.path, seed.content)
        for each in agent.files:
            if each.kind == "once":
                self._write_once(each.path, each.content)
            elif each.kind == "merged":
                self._merge(each.path, each.content)

    @contextmanager
    def _place(self, path: str) -> Generator[tuple[int, str] | None]:
        """Yield the open folder of a path and the name in it; `None` where it lies somewhere else."""
        if not path.startswith(f"{self._name}/"):
            yield None
            return
        inner = PurePosixPath(path).relative_to(self._name)
        descriptor = _descend(os.dup(self._folder.descriptor), inner.parent)
        try:
            yield descriptor, inner.name
        finally:
            os.close(descriptor)

    def _link(self, path: str, target: str | None) -> None:
        """Put a symbolic link in the place of whatever is there, or nothing."""
        with self._place(path) as place:
            if place is None:
                return
            folder, name = place
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
            if target is not None:
                with suppress(FileExistsError):  # another run of the project made the same
                    os.symlink(target, name, dir_fd=folder)

    def _write_once(self, path: str, content: str) -> None:
        with self._place(path) as place, suppress(FileExistsError):
            if place is not None:
                _write(place[0], place[1], content)

    def _merge(self, path: str, content: str) -> None:
        """Set what the content has in the JSON object that is there; leave anything else alone."""
        with self._place(path) as place:
            if place is None:
                return
            folder, name = place
            known = _object_in(folder, name)
            if known is None:
                return
            merged = _merged(known, typed_json.object_of(typed_json.parse(content), path))
            if merged == known:
                return
            new = f".{name}.{os.urandom(6).hex()}"
            _write(folder, new, json.dumps(merged, indent=2))
            os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)


@contextmanager
def _made_folder(root: Path, path: PurePosixPath) -> Generator[PathHandle]:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open_folder(root) as top:
        descriptor = _descend(os.dup(top.descriptor), path)
        with PathHandle(descriptor, root / path) as opened:
            yield opened


def _descend(descriptor: int, path: PurePosixPath) -> int:
    """Open a folder below another one, which is closed; make what is missing, and follow no link."""
    for part in path.parts:
        try:
            with suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=descriptor)
            child = os.open(part, _FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = child
    return descriptor


def _write(folder: int, name: str, content: str) -> None:
    with os.fdopen(os.open(name, _NEW, 0o600, dir_fd=folder), "w", encoding="utf-8") as file:
        file.write(content)


def _object_in(folder: int, name: str) -> dict[str, Any] | None:
    """Return the JSON object in a file, an empty one where there is none; `None` for anything else."""
    try:
        with os.fdopen(os.open(name, _READ, dir_fd=folder), "rb") as file:
            text = file.read(_MAX_MERGED + 1)
    except FileNotFoundError:
        return {}
    except OSError:  # a link, a socket
        return None
    if len(text) > _MAX_MERGED:
        return None
    try:
        return typed_json.object_of(typed_json.parse(text), name)
    except ValueError:  # JSON with comments, say, which belong to the user
        return None


def _merged(known: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    result = dict(known)
    for name, value in given.items():
        before = known.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            result[name] = _merged(cast("dict[str, Any]", before), cast("dict[str, Any]", value))
        elif isinstance(value, list) and isinstance(before, list):
            # Other runs, which may be alive, have put theirs there.
            known_items, items = cast("list[Any]", before), cast("list[Any]", value)
            result[name] = [*known_items, *(each for each in items if each not in known_items)][
                -_MAX_ITEMS:
            ]
        else:
            result[name] = value
    return result
