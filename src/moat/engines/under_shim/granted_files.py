"""Files in the sandbox's home that a run's grants need there; they hold placeholders alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from moat.spec import RunSpec


def write_granted_files(spec: RunSpec, private: Path) -> None:
    """Write them before the first command runs; the home is the run's own, and new."""
    home = private / "home"
    for each in (file for grant in spec.grants for file in grant.files):
        path = home / each.path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Two grants may share a file with the same content.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(each.content)
