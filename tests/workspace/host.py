"""The host of a run under test, with the real git, and a payload that must not run there."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from moat.workspace.cleanup import clean_up

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sandbox import Sandbox

GIT = (
    "git -c user.name=a -c user.email=a@b -c init.defaultBranch=main -c protocol.file.allow=always"
)


@dataclass
class Host:
    """The host of a user whose workspace is a repository, with the real git."""

    sandbox: Sandbox
    root: Path
    marker: Path

    @property
    def payload(self) -> str:
        """A program for git, which works on the host only: no sandbox has its folder."""
        return f"touch {self.marker}; false"

    def prepare(self, script: str) -> None:
        """Do what the user did before the run."""
        done = self._shell(script, self.root)
        assert done.returncode == 0, done.stderr

    def attacked(self, script: str) -> list[str]:
        """Run a script in the sandbox to its end, clean up, and return the lines of the clean-up."""
        self.sandbox.shell(script.replace("PAYLOAD", self.payload))
        return clean_up(self.sandbox.folder).lines()

    def is_safe(self, *commands: str, folder: str = ".") -> None:
        """Check that commands work on the host and run nothing of the sandbox's."""
        for command in commands:
            done = self._shell(command, self.root / folder)
            assert not self.marker.exists(), f"{command} ran the sandbox's program"
            assert done.returncode == 0, f"{command}: {done.stderr}"

    def _shell(self, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.sandbox.home),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        return subprocess.run(
            ["bash", "-ec", script.replace("GIT", GIT)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )


@pytest.fixture
def host(sandbox: Sandbox, repository: Path, tmp_path: Path) -> Host:
    host = Host(sandbox, repository, tmp_path / "ran")
    host.prepare("echo x > file; git add file; GIT commit -q -m first")
    return host
