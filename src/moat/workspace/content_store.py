"""A store for a workspace, from one run to the next: its last manifest and its files' contents.

A run that starts has only to look at the metadata, and reads the files that are new or changed. All of
it is in MOAT_HOME, where no run writes. The manifest is replaced as a whole. Its pack grows, until
more than half of it is of no use any more: then another takes its place. A run has its own names (hard
links) for both, so they last for as long as that run needs them, whatever happens here meanwhile.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from moat.atomic import replace_file
from moat.runs import lock
from moat.workspace import manifest as manifests
from moat.workspace.contents import MAX_PACK, Pack, open_pack

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from moat.paths import RunFolder
    from moat.workspace.manifest import Manifest

_COMPACTED_ABOVE: Final = 16 * 1024 * 1024


class ContentStore:
    """The folder for one workspace."""

    def __init__(self, home: Path, root: str) -> None:
        self._folder = _folder(home, root)
        self._index = self._folder / "manifest"

    def load(self) -> Manifest | None:
        """Return the last manifest; `None` where there is none, or it isn't readable."""
        manifest = load(self._index)
        if manifest is None or not (self._folder / manifest.pack).is_file():
            return None
        return manifest

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the store against others that would change it."""
        for folder in (self._folder.parent, self._folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        with lock.locked(self._folder / "lock"):
            yield

    @contextmanager
    def pack(self, name: str) -> Generator[Pack]:
        with open_pack(self._folder / name) as file:
            pack = Pack(file, MAX_PACK)
            yield pack
            pack.flush()

    def link_pack(self, name: str, run: RunFolder) -> bool:
        """Give a run its own name for a pack; return whether the pack and the run still exist."""
        run.start_contents.unlink(missing_ok=True)
        try:
            try:
                os.link(self._folder / name, run.start_contents)
            except FileNotFoundError:
                raise
            except OSError:  # the file system knows no hard links
                shutil.copyfile(self._folder / name, run.start_contents)
        except FileNotFoundError:
            return False
        return True

    def save(self, manifest: Manifest) -> None:
        """Keep a manifest for the next run, without the contents that may be older than they seem."""
        trusted = manifests.trusted(manifest)
        self._compact(trusted)
        replace_file(self._index, manifests.dumps(trusted), durable=False)
        for each in self._folder.glob("contents-*"):
            if each.name != trusted.pack:
                each.unlink()

    def _compact(self, manifest: Manifest) -> None:
        """Move what is still of use into a new pack if most of the old one is not."""
        used = sum(
            length
            for folder in manifest.folders.values()
            for _, _, length in folder.contents.values()
        )
        with self.pack(manifest.pack) as old:
            if old.size < _COMPACTED_ABOVE or old.size < 2 * used:
                return
            manifest.pack = new_pack_name()
            with self.pack(manifest.pack) as new:
                for folder in manifest.folders.values():
                    for name, content in folder.contents.items():
                        compressed = old.compressed(content)
                        if compressed is not None:
                            folder.contents[name] = new.append(content[0], compressed)


def forget(home: Path, root: str) -> None:
    """Delete what is kept of a workspace in which there is no run any more."""
    folder = _folder(home, root)
    if folder.exists():
        with lock.locked(folder / "lock"):
            shutil.rmtree(folder)


def _folder(home: Path, root: str) -> Path:
    return home / "snapshots" / sha256(os.fsencode(root)).hexdigest()[:16]


def new_pack_name() -> str:
    return f"contents-{os.urandom(4).hex()}"


def load(path: Path) -> Manifest | None:
    """Return a manifest that was saved, or `None` where there is none that this version can read."""
    try:
        return manifests.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
